"""Columns by cell: mean scores, scores that combine others, closed-form baselines, labels of a cell set."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.read.labels import Labels
from bench.benchmarks import Benchmark
from bench.identity import name_of
from bench.plan import LABELLED, select
from bench.store import ScoreStore, StoredRow
from common import modules
from common.errors import BadInput
from proxies import registry
from proxies.base import Population, Proxy
from spaces.space import Skeleton

BASELINES: dict[str, Callable[[Skeleton, Any], int]] = {
    "params": lambda skeleton, cell: skeleton.count_parameters(cell),
    "flops": lambda skeleton, cell: skeleton.count_multiply_adds(cell),
}
"""Shown beside every proxy, from closed forms: no score has to be stored for them."""
BASELINE = "params"
"""The one that every proxy is held against."""


def counted(name: str, benchmark: Benchmark, cells: Iterable[int]) -> pd.Series:
    """A baseline of these cells, by cell."""
    space, skeleton = benchmark.space, benchmark.skeleton
    return pd.Series({cell: float(BASELINES[name](skeleton, space.at(cell))) for cell in cells}, dtype=float)


def mean_scores(
    store: Path, benchmark: Benchmark, proxy: Proxy, wanted: Collection[int] | None = None
) -> tuple[pd.Series, list[int]]:
    """Mean score by cell over the stored seeds, or those `wanted` among them, of the cells tried with all of them, and
    those seeds; NaN for a cell without a score in some seed.

    Of the scores made with the benchmark's teacher, and of no others.
    """
    teacher = benchmark.teacher.record()
    every = ScoreStore(store, write=False).scores(benchmark.name, proxy, teacher)
    stored = [entry for entry in every if wanted is None or entry.seed in wanted]
    rows = [row for entry in stored for row in entry.rows]
    if not any(row.status == "ok" for row in rows):
        raise _no_scores(name_of(proxy, benchmark), benchmark, proxy, store, rows)
    columns = {entry.seed: pd.Series({row.cell: row.score for row in entry.rows}, dtype=float) for entry in stored}
    frame = pd.DataFrame(columns)
    sizes = {seed: len(column) for seed, column in columns.items()}
    if len(set(sizes.values())) > 1:
        names = ", ".join(f"seed {seed}: {size} cells" for seed, size in sizes.items())
        told = f"note: {proxy.label} is judged on the cells that all its seeds have ({names}); `--seeds` names some"
        print(told, file=sys.stderr)
    tried = set.intersection(*(set(column.index) for column in columns.values()))
    return frame[frame.index.isin(tried)].mean(axis=1, skipna=False), list(columns)


def _no_scores(name: str, benchmark: Benchmark, proxy: Proxy, store: Path, rows: Sequence[StoredRow]) -> BadInput:
    """Why nothing can be judged: nothing was tried, or none of what was has a score."""
    options = f" --teacher {benchmark.teacher.option}" if name != proxy.label else ""
    options += "".join(f" --module {file}" for file in modules.in_use())
    if not rows:
        return BadInput(
            f"no scores of {name} on {benchmark.name} in {store}: "
            f"run `python -m bench run {proxy.label} --benchmark {benchmark.name}{options}` first"
        )
    (reason, count), *_ = Counter(f"{row.status}, {row.reason}" for row in rows).most_common()
    return BadInput(
        f"{name} on {benchmark.name} was tried and has no score in {store}: of {len(rows)} rows {count} are {reason}"
    )


def combined(population: Population, means: Mapping[str, pd.Series], cells: Sequence[int]) -> pd.Series:
    """A population's score of those `cells` that every part was tried on, by mean scores of the parts; the cells that
    all parts have a score of are ranked among themselves, the others get NaN."""
    columns = pd.concat(means, axis=1, join="inner")
    columns = columns[columns.index.isin(cells)]
    return population.combine(columns.dropna()).reindex(columns.index)


def combined_scores(
    store: Path,
    benchmark: Benchmark,
    population: Population,
    cells: Sequence[int],
    files: tuple[Path, ...] = (),
    wanted: Collection[int] | None = None,
) -> tuple[pd.Series, list[int]]:
    """`combined` of what is stored, of the seeds `wanted` where some are; the seeds that all parts have."""
    found = {part.label: mean_scores(store, benchmark, part, wanted) for part in registry.parts(population, files)}
    seeds = set.intersection(*(set(seeds) for _, seeds in found.values()))
    return combined(population, {label: scores for label, (scores, _) in found.items()}, cells), sorted(seeds)


def label_cells(labels: Labels, which: str) -> pd.Series:
    """The label of every cell of a set that has one; labels of functions hold for all cells of the class."""
    mean = labels.mean
    chosen = sorted(mean.index) if which == LABELLED else sorted(select(which, labels.space))
    if not labels.of_functions:
        return mean.reindex(chosen).dropna()
    stands_for = labels.space.representatives("function")
    found = {cell: mean[stands_for[cell]] for cell in chosen if stands_for[cell] in mean.index}
    return pd.Series(found, dtype=float)


def labels_by_seed(labels: Labels, which: str) -> pd.DataFrame:
    """As `label_cells`, a column a seed, of the cells that have a label of every seed."""
    alone = {seed: replace(labels, by_seed=labels.by_seed[[seed]].dropna()) for seed in labels.by_seed}
    return pd.DataFrame({seed: label_cells(each, which) for seed, each in alone.items()}).dropna()
