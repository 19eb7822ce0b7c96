"""How long a cell's network takes for a batch, on one machine: a table of operations, measured once and kept.

Latency of a cell = base + sum of its live operations' times, in milliseconds. A table and not a stopwatch for each
cell, so that a search repeated keeps to the same cells.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.benchmarks import Benchmark
from common.errors import BadUsage
from common.formats import read_json, reading, write_json
from spaces.nb201.cell import EDGES, NONE, OPERATIONS, Cell
from spaces.nb201.skeleton import CellSkeleton

ROUNDS = 25
"""In turns over the operations, so that a slow spell of the machine hits all; medians count."""


@dataclass(frozen=True)
class Latency:
    """A `Latency` prices a forward pass of a benchmark's batch in milliseconds: `base` for a cell of no operation, and
    for an operation what it adds on one edge of every cell.
    """

    base: float
    operations: dict[str, float]
    device: str
    batch: int

    def of(self, cell: Cell) -> float:
        """Return the milliseconds of a cell's network, in which no dead operation is run."""
        return self.base + sum(self.operations[OPERATIONS[edge.operation]] for edge in cell.live_edges())


def latency(setting: Benchmark, device: str, folder: Path) -> Latency:
    """Return the table in `folder`, measured now where there is none. Raises BadInput where it cannot be read, BadUsage
    for networks without cells."""
    if not isinstance(setting.skeleton, CellSkeleton):
        raise BadUsage(f"--max-latency: times are of the operations of cells, and {setting.name} has none")
    path = folder / f"latency-{setting.name}-{device.replace(':', '')}.json"
    if not path.is_file():
        from bench.provenance import provenance

        write_json(path, asdict(measure(setting, device)) | {"measured_on": provenance(device)})
    again = "remove it to measure again"
    with reading(path, again):
        return of_record(read_json(path, again))


def of_record(record: dict[str, Any]) -> Latency:
    """Make a `Latency` of what `asdict` made of one. Raises KeyError, TypeError or ValueError for anything else."""
    operations = {name: float(record["operations"][name]) for name in OPERATIONS if name != OPERATIONS[NONE]}
    return Latency(float(record["base"]), operations, str(record["device"]), int(record["batch"]))


def measure(setting: Benchmark, device: str) -> Latency:
    """Measure a `Latency` on one thread.

    An operation's time is a sixth of what a cell of six of it takes longer than a cell of none.
    """
    import torch

    from images.noise import noise
    from spaces.draw import Draw
    from spaces.nb201.network import CellNetwork

    skeleton = setting.skeleton
    assert isinstance(skeleton, CellSkeleton)
    torch.set_num_threads(1)
    draw = Draw(0, device=device)
    batch = noise("speed", 0, setting.batch, setting.skeleton.size, setting.skeleton.classes)
    images = batch.images.to(device).contiguous(memory_format=torch.channels_last)
    networks = [CellNetwork(Cell((number,) * len(EDGES)), skeleton, draw).eval() for number in range(len(OPERATIONS))]
    times: list[list[float]] = [[] for _ in networks]
    with torch.inference_mode():
        for _ in range(ROUNDS + 2):  # two to warm up
            for network, taken in zip(networks, times, strict=True):
                start = time.perf_counter()
                network(images)
                if device.startswith("cuda"):
                    torch.cuda.synchronize(device)
                taken.append(1000 * (time.perf_counter() - start))
    base, *others = (statistics.median(taken[2:]) for taken in times)
    each = {
        name: round(max(other - base, 0) / len(EDGES), 4) for name, other in zip(OPERATIONS[1:], others, strict=True)
    }
    return Latency(round(base, 4), each, device, setting.batch)
