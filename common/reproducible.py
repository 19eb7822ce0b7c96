"""How a process that computes with PyTorch is set up: the same numbers wherever it runs, and memory that it keeps.

And what of the whole process no score may depend on: its random numbers, and settings that others have changed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from typing import Any

MMAP_THRESHOLD, TRIM_THRESHOLD, TOP_PAD = -3, -1, -2
"""Of glibc's mallopt."""


def reproducible() -> None:
    """Make this process add in one order, whatever the number of workers, and in full float32 from now on."""
    import torch

    torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    keep_memory()


def keep_memory() -> bool:
    """Let freed memory stay with this process instead of going back to the system; returns whether the system can.

    glibc maps large blocks anew each time, and the system fills every page of them with zeros: a tenth of a forward
    pass at paper size (docs/decisions/performance.md). Blocks up to 32 MB, its own limit, now come out of the heap,
    which grows by 64 MB and never shrinks. Elsewhere than with glibc nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc; Windows has no library None
        return False
    settings = ((MMAP_THRESHOLD, 2**25), (TRIM_THRESHOLD, 2**31 - 1), (TOP_PAD, 2**26))
    return all(mallopt(option, value) == 1 for option, value in settings)


def random_states() -> dict[str, object]:
    """The states of the random numbers that all code of this process shares, by the library that draws them."""
    import random

    import numpy as np
    import torch

    kind, key, *rest = np.random.get_state(legacy=True)
    states: dict[str, object] = {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": (kind, key.tobytes(), *rest),  # type: ignore[union-attr]
        "Python": random.getstate(),
    }
    if torch.cuda.is_initialized():
        states["CUDA"] = [state.numpy().tobytes() for state in torch.cuda.get_rng_state_all()]
    return states


def drawn_since(before: dict[str, object]) -> str:
    """The libraries whose random numbers were drawn, or seeded, since the states were these, joined by commas."""
    return ", ".join(name for name, state in random_states().items() if before.get(name, state) != state)


def settings() -> dict[str, Any]:
    """Settings of this process on which numbers or other proxies' work depend, by name."""
    import torch

    return {
        "torch.get_default_dtype()": torch.get_default_dtype(),
        "torch.get_default_device()": torch.get_default_device(),
        "torch.get_num_threads()": torch.get_num_threads(),
        "torch.is_grad_enabled()": torch.is_grad_enabled(),
        "torch.is_inference_mode_enabled()": torch.is_inference_mode_enabled(),
        "torch.is_autocast_enabled()": torch.is_autocast_enabled("cpu"),
        "torch.get_float32_matmul_precision()": torch.get_float32_matmul_precision(),
        "torch.are_deterministic_algorithms_enabled()": torch.are_deterministic_algorithms_enabled(),
        "torch.backends.mkldnn.enabled": torch.backends.mkldnn.enabled,
    }


def put_back(before: Mapping[str, Any]) -> str:
    """Set the settings that are not as they were, and name them, joined by commas; empty where all are."""
    import torch

    changed = [name for name, value in settings().items() if value != before[name]]
    setters: dict[str, Callable[[Any], object]] = {
        "torch.get_default_dtype()": torch.set_default_dtype,
        # "cpu" would stay as a mode that meets every call; None is what a process begins with
        "torch.get_default_device()": lambda on: torch.set_default_device(None if on.type == "cpu" else on),
        "torch.get_num_threads()": torch.set_num_threads,
        "torch.is_grad_enabled()": torch.set_grad_enabled,
        "torch.is_autocast_enabled()": lambda on: torch.set_autocast_enabled("cpu", on),
        "torch.get_float32_matmul_precision()": torch.set_float32_matmul_precision,
        "torch.are_deterministic_algorithms_enabled()": torch.use_deterministic_algorithms,
        "torch.backends.mkldnn.enabled": torch._C._set_mkldnn_enabled,
    }
    for name in changed:
        if name in setters:
            setters[name](before[name])
    return ", ".join(changed)
