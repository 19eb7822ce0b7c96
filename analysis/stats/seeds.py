"""Whether seeds agree about labels beyond chance, and how surely: an interval and a permutation test."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from analysis.stats.bootstrap import BOOTSTRAP_SEED, interval
from analysis.stats.reliability import mean_spearman, reliability

PERMUTATIONS = 9999


@dataclass(frozen=True)
class Certainty:
    """How sure the mean Spearman between two seeds is: `agreement_interval` and `agreement_p`."""

    low: float
    high: float
    p: float


def certainty(by_seed: pd.DataFrame, groups: np.ndarray) -> Certainty:
    """Of labels by cell (rows, whose classes are `groups`) and seed (columns)."""
    return Certainty(*agreement_interval(by_seed, groups), agreement_p(by_seed))


def agreement_interval(by_seed: pd.DataFrame, groups: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean Spearman between two seeds: a bootstrap over classes of the labels' rows.

    `groups` [n] are the classes. A class drawn twice agrees with itself, as it does in every bootstrap of a rank
    correlation; NaN as in `interval`, and where the rows themselves have no agreement.
    """
    if reliability(by_seed) is None:
        return math.nan, math.nan
    labels = by_seed.to_numpy(dtype=float)
    complete = ~np.isnan(labels).any(axis=1)

    def again(drawn: np.ndarray) -> float:
        rows = labels[drawn[complete[drawn]]]
        return mean_spearman(rows) if len(rows) > 2 else math.nan

    return interval(again, groups)


def agreement_p(by_seed: pd.DataFrame) -> float:
    """One-sided p of the mean Spearman between two seeds, if each seed had ranked the cells anew.

    (1 + permutations that agree at least as well) / (1 + `PERMUTATIONS`): each permutes the cells of every seed by
    itself. Of cells that have all seeds; NaN with fewer than two seeds or three cells, and where a seed's
    labels are constant.
    """
    complete = by_seed.dropna().to_numpy()
    if complete.shape[1] < 2 or len(complete) < 3 or not np.ptp(complete, axis=0).all():
        return math.nan
    ranks = stats.rankdata(complete, axis=0)
    ranks = (ranks - ranks.mean(axis=0)) / ranks.std(axis=0)
    pairs = list(itertools.combinations(range(ranks.shape[1]), 2))
    observed = sum(ranks[:, a] @ ranks[:, b] for a, b in pairs)
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    as_good = 0
    for _ in range(PERMUTATIONS):
        mixed = rng.permuted(ranks, axis=0)
        as_good += sum(mixed[:, a] @ mixed[:, b] for a, b in pairs) >= observed - 1e-9
    return (1 + as_good) / (1 + PERMUTATIONS)
