"""How a process that computes with PyTorch is set up: the same numbers wherever it runs, and memory that it keeps."""

from __future__ import annotations

import ctypes

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
