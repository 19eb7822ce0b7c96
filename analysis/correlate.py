"""Join stored scores with labels and say how well the one ranks the other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.labels import Labels
from analysis.statistics import Correlation, correlate
from bench.benchmarks import Benchmark, teacher_name
from bench.identity import name_of
from bench.plan import select
from bench.store import ScoreStore
from common.errors import BadInput
from proxies import registry
from proxies.base import Population, Proxy
from spaces.equivalence import representatives
from spaces.nb201 import Cell, cell_at
from spaces.skeleton import Skeleton, count_multiply_adds, count_parameters

BASELINES: dict[str, Callable[[Cell, Skeleton], int]] = {"params": count_parameters, "flops": count_multiply_adds}
"""Shown beside every proxy, from closed forms: no score has to be stored for them."""


@dataclass(frozen=True)
class Result:
    """A proxy's correlation with the labels, and the pairs it was computed from (index: cell)."""

    proxy: str
    seeds: list[int]
    coverage: float
    """Share of the set's labelled cells that the correlation was computed from."""
    correlation: Correlation
    pairs: pd.DataFrame


def mean_scores(store: Path, benchmark: Benchmark, proxy: Proxy) -> tuple[pd.Series, list[int]]:
    """Mean score over the stored seeds by cell, and those seeds; NaN for a cell without a score in some seed.

    Of the scores made with the benchmark's teacher, and of no others.
    """
    teacher = benchmark.teacher.record()
    stored = ScoreStore(store, create=False).scores(benchmark.name, proxy, teacher)
    if not any(row.status == "ok" for entry in stored for row in entry.rows):
        name = name_of(proxy, benchmark)
        option = f" --teacher {teacher_name(benchmark.name, teacher)}" if name != proxy.label else ""
        raise BadInput(
            f"no scores of {name} on {benchmark.name} in {store}: "
            f"run `python -m bench run {proxy.label} --benchmark {benchmark.name}{option}` first"
        )
    columns = {entry.seed: pd.Series({row.cell: row.score for row in entry.rows}, dtype=float) for entry in stored}
    frame = pd.DataFrame(columns)
    sizes = {seed: len(column) for seed, column in columns.items()}
    if len(set(sizes.values())) > 1:
        names = ", ".join(f"seed {seed}: {size} cells" for seed, size in sizes.items())
        print(f"note: {proxy.label} is judged on the cells that all its seeds have ({names})", file=sys.stderr)
    return frame.mean(axis=1, skipna=False), list(columns)


def combined_scores(
    store: Path, benchmark: Benchmark, population: Population, cells: Sequence[int], files: tuple[Path, ...] = ()
) -> tuple[pd.Series, list[int]]:
    """A population's score of those `cells` that have a mean score of every part; the seeds that all parts have."""
    found = {part.label: mean_scores(store, benchmark, part) for part in registry.parts(population, files)}
    columns = pd.DataFrame({label: scores for label, (scores, _) in found.items()})
    seeds = set.intersection(*(set(seeds) for _, seeds in found.values()))
    return population.combine(columns.reindex(cells).dropna()), sorted(seeds)


def _population_name(population: Population, benchmark: Benchmark, files: tuple[Path, ...]) -> str:
    """With the teacher's name, as its parts have it."""
    teachers = {name_of(part, benchmark).removeprefix(part.label) for part in registry.parts(population, files)}
    return population.label + max(teachers)


def label_cells(labels: Labels, which: str) -> pd.Series:
    """The label of every cell of a set that has one; labels of functions hold for all cells of the class."""
    mean = labels.mean
    chosen = sorted(select(which))
    if not labels.of_functions:
        return mean.reindex(chosen).dropna()
    stands_for = representatives("function")
    found = {cell: mean[stands_for[cell]] for cell in chosen if stands_for[cell] in mean.index}
    return pd.Series(found, dtype=float)


def judge(proxy: str, seeds: list[int], scores: pd.Series, labels: pd.Series) -> Result:
    """Correlate scores by cell with labels by cell. Raises BadInput where fewer than three cells have both."""
    pairs = pd.DataFrame({"score": scores.reindex(labels.index), "label": labels}).dropna()
    if len(pairs) < 3:
        raise BadInput(f"{proxy}: only {len(pairs)} labelled cells of this set have a score; score or label more cells")
    stands_for = np.array(representatives("function"))
    groups = stands_for[pairs.index.to_numpy(dtype=int)]
    correlation = correlate(pairs["score"].to_numpy(), pairs["label"].to_numpy(), groups)
    return Result(proxy, seeds, len(pairs) / len(labels), correlation, pairs)


def results(
    store: Path,
    benchmark: Benchmark,
    proxies: Sequence[Proxy | Population],
    labels: pd.Series,
    which: str,
    files: tuple[Path, ...] = (),
) -> list[Result]:
    """The proxies in the order given, then the baselines, these on the cells that every proxy named has been tried on.

    On the same cells, because the cells move a correlation more than most proxies differ. Populations are ranked among
    the cells of the set `which`, labelled or not.
    """
    found = []
    tried = labels.index
    for proxy in proxies:
        if proxy.label not in BASELINES:
            if isinstance(proxy, Population):
                scores, seeds = combined_scores(store, benchmark, proxy, select(which), files)
                name = _population_name(proxy, benchmark, files)
            else:
                scores, seeds = mean_scores(store, benchmark, proxy)
                name = name_of(proxy, benchmark)
            found.append(judge(name, seeds, scores, labels))
            tried = tried.intersection(scores.index)
    for name, count in BASELINES.items():
        counts = {cell: float(count(cell_at(cell), benchmark.skeleton)) for cell in tried}
        found.append(judge(name, [], pd.Series(counts, dtype=float), labels))
    return found
