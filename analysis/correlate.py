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
from bench.benchmarks import Benchmark
from bench.plan import select
from bench.store import ScoreStore
from common.errors import BadInput
from proxies.base import Proxy
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
    """Mean score over the stored seeds by cell, and those seeds; NaN for a cell without a score in some seed."""
    stored = ScoreStore(store, create=False).scores(benchmark.name, proxy)
    if not any(row.status == "ok" for entry in stored for row in entry.rows):
        raise BadInput(
            f"no scores of {proxy.label} on {benchmark.name} in {store}: "
            f"run `python -m bench run {proxy.label} --benchmark {benchmark.name}` first"
        )
    columns = {entry.seed: pd.Series({row.cell: row.score for row in entry.rows}, dtype=float) for entry in stored}
    frame = pd.DataFrame(columns)
    sizes = {seed: len(column) for seed, column in columns.items()}
    if len(set(sizes.values())) > 1:
        names = ", ".join(f"seed {seed}: {size} cells" for seed, size in sizes.items())
        print(f"note: {proxy.label} is judged on the cells that all its seeds have ({names})", file=sys.stderr)
    return frame.mean(axis=1, skipna=False), list(columns)


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


def results(store: Path, benchmark: Benchmark, proxies: Sequence[Proxy], labels: pd.Series) -> list[Result]:
    """The proxies in the order given, then the baselines, these on the cells that every proxy named has been tried on.

    On the same cells, because the cells move a correlation more than most proxies differ.
    """
    found = []
    tried = labels.index
    for proxy in proxies:
        if proxy.label not in BASELINES:
            scores, seeds = mean_scores(store, benchmark, proxy)
            found.append(judge(proxy.label, seeds, scores, labels))
            tried = tried.intersection(scores.index)
    for name, count in BASELINES.items():
        counts = {cell: float(count(cell_at(cell), benchmark.skeleton)) for cell in tried}
        found.append(judge(name, [], pd.Series(counts, dtype=float), labels))
    return found
