"""Running a network of somebody's so that afterwards it is what it was.

It runs on stand-ins: tensors of their own that share its parameters' memory, and copies of its buffers. So gradients
and running statistics land elsewhere. Its modes and what else it holds (held.py) are put back, and what it draws
(dropout, stochastic depth) comes from the score's seed, not from the random states of the process.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from common.errors import BadInput
from probe.module.held import as_it_was
from probe.stand_ins import run_with

AUTOCAST = ("cpu", "cuda")
"""The devices on which a precision that somebody asked for around a score is switched off."""
_ASKED: ContextVar[tuple[torch.dtype, torch.device]] = ContextVar(
    "defaults", default=(torch.float32, torch.device("cpu"))
)
"""The default type and device around the score that is being computed."""


class Untouched:
    """A network that is run without a trace. Raises BadInput for one that cannot be looked into."""

    def __init__(self, network: nn.Module, seed: int) -> None:
        compiled = getattr(network, "_orig_mod", network)  # what torch.compile was given
        assert isinstance(compiled, nn.Module)
        self.network = compiled
        self.seed = seed
        called = type(self.network).__name__
        parameters = dict(self.network.named_parameters())
        if any(is_lazy(parameter) for parameter in parameters.values()):
            raise BadInput(f"{called} has parameters without a shape yet: run it once on an image")
        self.parameters = {name: _in_graphs(parameter) for name, parameter in parameters.items()}
        self.buffers = {name: _in_graphs(buffer) for name, buffer in self.network.named_buffers()}

    @property
    def placed(self) -> torch.Tensor:
        """A tensor as the network's: of its device and floating type."""
        tensors = [*self.parameters.values(), *self.buffers.values()]
        return next((tensor for tensor in tensors if tensor.is_floating_point()), torch.zeros(()))

    def __call__(
        self,
        images: torch.Tensor,
        parameters: Mapping[str, torch.Tensor] | None = None,
        buffers: Mapping[str, torch.Tensor] | None = None,
        training: bool = True,
        watch: AbstractContextManager[Any] | None = None,
    ) -> Any:
        """What the network returns for `images`, with the tensors given in place of its own, while `watch` looks on.

        Buffers are copied, and have the device and, of floats, the type of the images.
        """
        held = {**self.buffers, **(buffers or {})}
        copies = {
            name: buffer.to(images.device, images.dtype if buffer.is_floating_point() else None, copy=True)
            for name, buffer in held.items()
        }
        with as_it_was(self.network), drawn_by(self.seed), layer_by_layer(), _as_asked(images):
            for module in self.network.modules():
                module.training = training
            with watch or nullcontext():
                return run_with(self.network, {**(parameters or self.parameters), **copies}, images)


def _in_graphs(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor of the same memory, or a copy of one that was made in inference mode, which no graph takes."""
    return tensor.clone().detach() if tensor.is_inference() else tensor.detach()


@contextmanager
def by_itself() -> Iterator[None]:
    """Compute within the block as if nothing had been asked for around it.

    Without autocast and inference mode, in float32 and on the CPU where nothing else is said. What was asked for holds
    again behind the block; a default type or device that is the network's own also holds while the network runs.
    """
    of_floats, device_of_all = torch.get_default_dtype(), torch.get_default_device()
    with ExitStack() as asked:
        asked.callback(_ASKED.reset, _ASKED.set((of_floats, device_of_all)))
        for device in AUTOCAST:
            if torch.is_autocast_enabled(device):
                asked.enter_context(torch.autocast(device, enabled=False))
        if torch.is_inference_mode_enabled():
            asked.enter_context(torch.inference_mode(False))
        if device_of_all.type != "cpu":
            asked.enter_context(torch.device("cpu"))
        asked.callback(torch.set_default_dtype, of_floats)
        torch.set_default_dtype(torch.float32)
        yield


@contextmanager
def _as_asked(images: torch.Tensor) -> Iterator[None]:
    """Hold the defaults that were asked for around a score, where they are those of the images."""
    before = torch.get_default_dtype()
    of_floats, device = _ASKED.get()
    with device if device.type != "cpu" and device.type == images.device.type else nullcontext():
        try:
            torch.set_default_dtype(of_floats if of_floats is images.dtype else before)
            yield
        finally:
            torch.set_default_dtype(before)


@contextmanager
def layer_by_layer() -> Iterator[None]:
    """Have a TransformerEncoderLayer call its layers within the block, in evaluation too.

    There it is one kernel otherwise (torch 2.13.0), and nobody sees its rectifiers and products.
    """
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def drawn_by(seed: int) -> Iterator[None]:
    """Draw by a score's seed, in torch, NumPy and Python, and put the random states back."""
    key = int.from_bytes(hashlib.blake2b(f"{seed}/forward".encode(), digest_size=4).digest(), "little")
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    of_numpy, of_python = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng(devices):
            torch.manual_seed(key)
            np.random.seed(key)
            random.seed(key)
            yield
    finally:
        np.random.set_state(of_numpy)
        random.setstate(of_python)


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether it was memory: on a CPU torch reports a failed allocation as a plain RuntimeError."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)


def one_line(error: BaseException) -> str:
    """An error in one line of at most 200 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]
