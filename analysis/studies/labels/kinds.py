"""Does a proxy rank what a network learns alone, with a teacher, or what the teacher adds? All three, side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.read.columns import label_cells
from analysis.read.labels import Labels
from analysis.read.scores import judged_columns, published
from analysis.stats.bootstrap import quantiles
from analysis.stats.comparison import Difference, compare, holm, spearman
from analysis.stats.correlation import spearman_draws
from bench.benchmarks import Benchmark
from common.errors import BadInput
from spaces.space import Space


class Estimate(NamedTuple):
    """Spearman and its 95 % interval, a bootstrap over functions."""

    spearman: float
    low: float
    high: float


@dataclass(frozen=True)
class Kinds:
    """One proxy's correlations with each kind of label, on the cells that have a score and all the labels.

    `over_vanilla` is Spearman with distilled minus that with vanilla accuracy, paired, and Holm's p over all proxies.
    """

    proxy: str
    with_labels: dict[str, Estimate]
    over_vanilla: Difference


def kinds(folder: Path, setting: Benchmark, labels: Mapping[str, Labels], which: str) -> list[Kinds]:
    """Published proxies as in a leaderboard, the highest Spearman with distilled accuracy first.

    `labels` by kind, `vanilla` and `distilled` among them. Raises BadInput where fewer than three cells have them all.
    """
    known = pd.DataFrame({kind: label_cells(each, which) for kind, each in labels.items()}).dropna()
    columns = judged_columns(published(folder, setting.name), setting, which)
    found = [_judged(name, column, known, setting.space) for name, column in columns.items()]
    corrected = holm(np.array([one.over_vanilla.p_value for one in found]))
    found = [
        replace(one, over_vanilla=replace(one.over_vanilla, p_holm=float(p)))
        for one, p in zip(found, corrected, strict=True)
    ]
    return sorted(found, key=lambda one: -np.nan_to_num(one.with_labels["distilled"].spearman, nan=-math.inf))


def _judged(name: str, column: pd.Series, known: pd.DataFrame, space: Space) -> Kinds:
    scores = column.reindex(known.index).dropna()
    if len(scores) < 3:
        raise BadInput(f"{name}: only {len(scores)} cells with all kinds of labels have a score; score or label more")
    labels = known.loc[scores.index]
    groups = np.array(space.representatives("function"))[scores.index.to_numpy(dtype=int)]
    # a correlation has no sides: the labels are judged, and two of them compared, as proxies of the score
    draws = spearman_draws(labels.to_numpy(), scores.to_numpy(), groups).T
    estimates = {
        str(kind): Estimate(spearman(label.to_numpy(), scores.to_numpy()), *quantiles(drawn))
        for (kind, label), drawn in zip(labels.items(), draws, strict=True)
    }
    (difference,) = compare(labels[["distilled", "vanilla"]], scores, groups)
    return Kinds(name, estimates, difference)
