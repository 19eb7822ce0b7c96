"""Record the statistics of functions: once for each, in chunks that are on disk as they come."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.benchmarks import Benchmark
from bench.identity import settings
from bench.plan import Pass, select_of
from bench.runner import TIMEOUT
from bench.worker import Setup, Worker
from common import pool
from common.errors import BadInput
from common.pool import Died, Job
from common.progress import Progress
from proxies.base import NotApplicable
from search.formula.names import POSITIONS, STUDENT, TEACHER
from search.formula.statistics import Statistics
from search.formula.store import FormulaStore

CHUNK = 8
"""Functions in one task: what a kill costs."""
STATISTICS = Statistics()
Task = tuple[int, tuple[int, ...]]
"""A seed and cells."""


@dataclass(frozen=True)
class Recorded:
    """How many functions were wanted, a seed, and how many were recorded now, of all seeds."""

    functions: int
    now: int


def record(
    setting: Benchmark,
    cells: str,
    limit: int | None,
    seeds: Sequence[int],
    store: FormulaStore,
    workers: int,
    data: Path | None,
    device: str,
) -> Recorded:
    """Record what is missing of the functions of a set of cells. Raises BadInput for networks that have no such
    statistics, as `select_of`, and where a worker dies twice on the same functions."""
    setup = Setup(setting, (STATISTICS,), (), data, device)
    worker = setup()
    stands_for = setting.space.representatives(STATISTICS.sees)
    functions = list(dict.fromkeys(stands_for[cell] for cell in select_of(cells, setting, limit)))
    sweeps = {seed: _sweep(worker, setting, seed, store) for seed in seeds}
    tasks: list[Task] = []
    for seed, sweep in sweeps.items():
        known = store.recorded(sweep)
        missing = [cell for cell in functions if cell not in known]
        tasks += [(seed, tuple(missing[at : at + CHUNK])) for at in range(0, len(missing), CHUNK)]
    now = sum(len(chunk) for _, chunk in tasks)
    coming = pool.run(Job(setup, numbers_of), tasks, workers, TIMEOUT if workers > 1 else None)
    with Progress(f"statistics on {setting.name}", now, "functions") as bar, closing(coming):  # type: ignore[type-var]
        for (seed, chunk), found in coming:
            if isinstance(found, Died):
                raise BadInput(f"the statistics of cells {', '.join(map(str, chunk))}: {found.reason}")
            store.add(sweeps[seed], zip(chunk, found, strict=True))
            bar.advance(len(chunk))
    return Recorded(len(functions), now)


def identity(setting: Benchmark, batch_hash: str) -> dict[str, Any]:
    """All that can change the numbers, as a score's record, and which numbers they are."""
    return settings(STATISTICS, setting, batch_hash) | {"positions": POSITIONS, "statistics": [*STUDENT, *TEACHER]}


def _sweep(worker: Worker, setting: Benchmark, seed: int, store: FormulaStore) -> int:
    """The number of the sweep of a seed, made with the teacher's statistics when new."""
    known = identity(setting, worker.batch_hash(seed))
    number = store.sweep(known, setting.name, seed)
    if number is not None:
        return number
    try:
        teacher = STATISTICS.of_one(worker.teacher(seed, STATISTICS.init))
    except NotApplicable as reason:
        raise BadInput(f"the teacher {setting.teacher.name} of {setting.name}: {reason}") from reason
    return store.start_sweep(setting.name, seed, known, teacher)


def numbers_of(worker: Worker, task: Task) -> list[np.ndarray]:
    """The statistics of the functions of a task, each float32 [statistics of a student, positions]."""
    seed, cells = task
    return [_numbers(worker, seed, cell) for cell in cells]


def _numbers(worker: Worker, seed: int, cell: int) -> np.ndarray:
    student, teacher = worker.observe(Pass(seed, STATISTICS.init, cell, (0,))), worker.teacher(seed, STATISTICS.init)
    try:
        return np.concatenate([STATISTICS.of_one(student), STATISTICS.of_both(student, teacher)])
    except NotApplicable as reason:
        raise BadInput(f"cell {cell} of {worker.setup.benchmark.name}: {reason}") from reason
