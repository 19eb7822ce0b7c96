"""How time and memory of a run grow with cells and batch: whole runs in processes of their own, watched from outside.

Memory is the largest sum of the resident memory of the driver, its workers and, on Linux, what these are forked from,
looked at several times a second: pages that they share count for each. The workers of a Ray cluster are not below the
driver, so of such a run it is the driver's alone.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from bench.runner import Request, execute
from bench.store import ScoreStore
from common import results
from common.crew import without_main
from common.errors import BadInput
from common.files import together
from common.formats import write_csv, write_json

FOLDER = results.SPEED
CELLS = (1000, 5000, 15625)
BATCHES = (16, 64, 256)
INTERVAL = 0.2


class Growth(NamedTuple):
    """Of one run."""

    cells: int
    batch: int
    seconds: float
    """Start and end of the processes included."""
    memory: float
    """MiB"""


def measure(request: Request, cells: Sequence[int] = CELLS) -> list[Growth]:
    """The request with all numbers of `cells` at the benchmark's batch, then the other `BATCHES` with the smallest."""
    batch = request.benchmark.batch
    sizes = [(count, batch) for count in cells] + [(cells[0], other) for other in BATCHES if other != batch]
    return [
        _watched(replace(request, benchmark=replace(request.benchmark, batch=size), limit=count))
        for count, size in sizes
    ]


def _watched(request: Request) -> Growth:
    cells, batch = request.limit, request.benchmark.batch
    assert cells is not None
    with tempfile.TemporaryDirectory() as folder:
        start, most = time.monotonic(), 0.0
        process = multiprocessing.get_context("spawn").Process(target=_run, args=(request, Path(folder) / "scores"))
        with without_main():
            process.start()
        assert process.pid is not None
        while process.is_alive():
            most = max(most, resident(process.pid))
            process.join(INTERVAL)
        if process.exitcode:
            raise BadInput(f"a run of {cells} cells in batches of {batch} ended with {process.exitcode}")
        return Growth(cells, batch, time.monotonic() - start, most)


def _run(request: Request, store: Path) -> None:
    execute(request, ScoreStore(store))


def resident(pid: int) -> float:
    """MiB of a process and all below it; what has just ended counts nothing."""
    import psutil

    total = 0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for process in family:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 2**20


def write(found: Sequence[Growth], name: str, provenance: dict[str, Any], folder: Path = FOLDER) -> Path:
    """`<name>-growth.csv` (cells, batch, seconds, memory), what made it in a JSON file beside."""
    path = folder / f"{name}-growth.csv"
    frame = pd.DataFrame([growth._asdict() for growth in found]).round({"seconds": 1, "memory": 0})
    with together(path):
        write_json(path.with_suffix(".json"), provenance)
        write_csv(path, frame)
    return path
