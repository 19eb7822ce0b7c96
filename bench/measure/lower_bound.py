"""The least that a pass can take: its multiply-adds at the rate of matrix products, its maps at that of a copy.

Batch statistics need all of a convolution's output before anything can be done with it, so every such map is written
and read at least once; the nodes of a cell, and what stands behind the stem and the reductions, are too. Derivatives
triple the multiply-adds; of each map they write and read the derivative, and read the map again.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from common.pool import Died, Job, run
from spaces.nb201.cell import EDGES, KERNEL, NONE, Cell
from spaces.nb201.skeleton import CellSkeleton

FLOAT = 4
SECONDS = 0.3
"""How long each rate is measured."""


class Work(NamedTuple):
    """Of a pass, or how much of each is done in a second."""

    multiply_adds: float
    bytes: float
    """Read or written."""

    def seconds(self, rates: Work) -> Work:
        """What each takes at these rates. One after the other they take the sum; side by side, the larger."""
        return Work(self.multiply_adds / rates.multiply_adds, self.bytes / rates.bytes)


def work(cell: Cell, skeleton: CellSkeleton, batch: int, backward: bool = False) -> Work:
    """Of the live operations of a cell's network on a batch in float32."""
    live = {edge.position for edge in cell.live_edges()}
    executed = Cell(tuple(op if at in live else NONE for at, op in enumerate(cell.operations)))
    multiply_adds = skeleton.count_multiply_adds(executed) * batch
    values = count_values(executed, skeleton) * batch * FLOAT
    return Work(3 * multiply_adds, 5 * values) if backward else Work(multiply_adds, 2 * values)


def count_values(cell: Cell, skeleton: CellSkeleton) -> int:
    """Values of the maps of one image: what convolutions put out, and the sums and batch norms that are read on."""
    convolutions = sum(op in KERNEL for op in cell.operations)
    nodes = len({EDGES[at][1] for at, op in enumerate(cell.operations) if op != NONE})
    total = 2 * skeleton.channels * skeleton.size**2  # the stem's convolution and batch norm
    blocks = list(skeleton.blocks())
    for block in blocks:
        # of a reduction two convolutions, the batch norm between them, the short cut and the sum
        total += (5 if block.is_reduction else convolutions + nodes) * block.channels_out * block.size**2
    return total + skeleton.width * blocks[-1].size ** 2  # the last batch norm


def rates(device: str, workers: int) -> Work:
    """Of float32 matrix products of 1,024 x 1,024 and copies of 64 MB: a GPU's, or of as many processes as workers."""
    if device.startswith("cuda"):
        return _rates(None, device)
    job: Job[str, Work] = Job(_one_thread, _rates)
    found = [one for _, one in run(job, [device] * 3 * workers, workers) if not isinstance(one, Died)]
    return Work(*(statistics.median(kind) * workers for kind in zip(*found, strict=True)))


def _one_thread() -> None:
    torch.set_num_threads(1)


def _rates(_: None, device: str) -> Work:
    a, big = torch.randn(1024, 1024, device=device), torch.randn(2**24, device=device)
    product, copy = torch.empty_like(a), torch.empty_like(big)
    products = _times(lambda: torch.mm(a, a, out=product), device)
    copies = _times(lambda: copy.copy_(big), device)
    return Work(len(a) ** 3 * products, 2 * FLOAT * len(big) * copies)


def _times(action: Callable[[], object], device: str) -> float:
    """How often a second."""

    def finish() -> None:
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)

    action()
    finish()
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        for _ in range(10):
            action()
        finish()
        count += 10
    return count / (time.perf_counter() - start)
