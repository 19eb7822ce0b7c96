"""Do scores of one benchmark's networks rank another's labels? The same functions at another size, on other images."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.read.columns import label_cells
from analysis.read.labels import Labels
from analysis.read.scores import published
from analysis.stats.comparison import Difference, compare, holm, spearman
from bench.benchmarks import Benchmark, benchmark
from common.shipped import here_or_shipped

LEAST = 50
"""Functions that both benchmarks score, below which they are not compared."""


@dataclass(frozen=True)
class Transfer:
    """Spearman of a proxy's scores with labels of a benchmark: its `own` scores, and those of `other`.

    Means over the `seeds` that both have, on the labelled functions that both score; `over` is other minus own, paired,
    and Holm's p over all proxies and benchmarks.
    """

    proxy: str
    scores_of: str
    own: float
    other: float
    seeds: int
    over: Difference


def transfers(folder: Path, setting: Benchmark, labels: Labels, which: str) -> list[Transfer]:
    """Every published proxy with a seed, by every other published benchmark of the space; the best own score first."""
    label, own = label_cells(labels, which), published(folder, setting.name)
    found = [
        _compared(name, other, own[name], table, label, setting)
        for other in _others(folder, setting)
        for name, table in published(folder, other).items()
        if name in own
    ]
    there = [one for one in found if one is not None]
    corrected = holm(np.array([one.over.p_value for one in there]))
    told = [replace(one, over=replace(one.over, p_holm=float(p))) for one, p in zip(there, corrected, strict=True)]
    return sorted(told, key=lambda one: (one.scores_of, -np.nan_to_num(one.own, nan=-math.inf)))


def _others(folder: Path, setting: Benchmark) -> list[str]:
    """Benchmarks of the same space whose scores are published."""
    names = [path.parent.name for path in sorted(here_or_shipped(folder).glob("*/manifest.json"))]
    return [name for name in names if name != setting.name and benchmark(name).space == setting.space]


def _compared(
    name: str, other: str, own: pd.DataFrame, elsewhere: pd.DataFrame, label: pd.Series, setting: Benchmark
) -> Transfer | None:
    """None where too little of the two can be compared."""
    seeds = [seed for seed in own if seed in elsewhere]
    if not seeds:
        return None
    columns = {"own": own[seeds].mean(axis=1, skipna=False), "other": elsewhere[seeds].mean(axis=1, skipna=False)}
    both = pd.DataFrame(columns).reindex(label.index)
    complete = both[np.isfinite(both).all(axis=1)]
    if len(complete) < LEAST:
        return None
    known = label[complete.index]
    groups = np.array(setting.space.representatives("function"))[complete.index.to_numpy(dtype=int)]
    (over,) = compare(complete[["other", "own"]], known, groups)
    first, second = (spearman(complete[column].to_numpy(), known.to_numpy()) for column in ("own", "other"))
    return Transfer(name, other, first, second, len(seeds), over)
