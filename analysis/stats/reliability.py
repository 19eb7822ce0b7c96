"""How far seeds agree about labels: reliability, the ceiling that follows, correlations corrected for noise."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from analysis.stats.bootstrap import Sorted, merge, quantiles


def spearman_brown(r: float, k: int) -> float:
    """k r / (1 + (k - 1) r): the reliability of the mean of k seeds, r the correlation between two single seeds.

    Exact for Pearson's correlation and independent noise of one variance; with Spearman's an approximation. Its root,
    the ceiling, is less than .01 off for normal truth and noise, and in simulations (tests/analysis/) up to .03 for
    skewed truth where r is above .6, up to .1 where r is small or cells fall into groups far apart.
    -infinity at and below r = -1 / (k - 1), the least that k seeds can agree, where the formula has its pole.
    """
    divisor = 1 + (k - 1) * r
    return -math.inf if divisor < 1e-9 else k * r / divisor  # a correlation is rounded: its pole is not met exactly


@dataclass(frozen=True)
class Reliability:
    """How well labels agree with themselves: means over pairs of seeds, on the cells that have all seeds.

    `reliability` is that of the mean over the seeds (`spearman_brown` with r = `spearman`).
    `ceiling` is its square root: the Spearman correlation to be expected of a proxy that knew the true ranking.
    All are NaN where the accuracies of a seed are constant.
    """

    cells: int
    seeds: int
    kendall: float
    spearman: float

    @property
    def reliability(self) -> float:
        return self.of_mean(self.seeds)

    @property
    def ceiling(self) -> float:
        return self.ceiling_of_mean(self.seeds)

    def of_mean(self, k: int) -> float:
        """Reliability of the mean of k seeds, as many as have been trained or not."""
        return spearman_brown(self.spearman, k)

    def ceiling_of_mean(self, k: int) -> float:
        """Root of `of_mean`, and 0 where that is negative."""
        return math.sqrt(np.maximum(self.of_mean(k), 0.0))  # keeps a NaN, unlike max


def reliability(by_seed: pd.DataFrame) -> Reliability | None:
    """From labels by cell (rows) and seed (columns); None with fewer than two seeds or three cells."""
    complete = by_seed.dropna()
    if complete.shape[1] < 2 or len(complete) < 3:
        return None
    pairs = list(itertools.combinations(complete.columns, 2))
    kendall = float(np.mean([stats.kendalltau(complete[a], complete[b]).statistic for a, b in pairs]))
    return Reliability(len(complete), complete.shape[1], kendall, mean_spearman(complete.to_numpy()))


def mean_spearman(labels: np.ndarray) -> float:
    """Mean over pairs of columns of finite labels [n, k]; NaN where a column is constant."""
    of_seeds = _rank_correlations(labels)
    return float(np.mean(of_seeds[np.triu_indices(len(of_seeds), 1)]))


def true_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman between the rankings that two labels [n, k] of the same cells and seeds would have without noise.

    r_ab / sqrt(r_a r_b) (Spearman 1904): r_a and r_b are the mean Spearman between different seeds of one label, r_ab
    that between different seeds of the two. The same seed of both is left out: it shares initial weights and images,
    and its luck would pass for agreement. Approximate, as `spearman_brown` is; chance can carry it past 1. NaN where
    there are fewer than two seeds, or a label does not agree with itself.
    """
    k = a.shape[1]
    if k < 2 or len(a) < 3:
        return math.nan
    found = _rank_correlations(np.hstack([a, b]))
    other = ~np.eye(k, dtype=bool)
    r_a, r_b, r_ab = (part[other].mean() for part in (found[:k, :k], found[k:, k:], found[:k, k:]))
    return float(r_ab / math.sqrt(r_a * r_b)) if min(r_a, r_b) > 0 else math.nan


@dataclass(frozen=True)
class Corrected:
    """Spearman over the root of the labels' reliability, and its 95 % interval, on n cells with labels of all seeds.

    An estimate of the correlation with labels without seed noise (Spearman 1904). It can exceed 1: the reliability is
    itself an estimate, for ranks by an approximation (`spearman_brown`). Noise of the scores is not corrected, being
    the proxy's own fault, nor is luck with test images, which all seeds share.
    """

    n: int
    observed: float
    spearman: float
    low: float
    high: float


def corrected_correlation(scores: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> Corrected:
    """Of finite scores [n] with the mean of finite labels [n, k] over seeds.

    The interval is over draws of classes in which correlation and reliability are computed anew; draws without a
    reliability above 0 are left out. NaN for k < 2, fewer than three cells, a constant side or no reliability above 0.
    """
    n, k = labels.shape
    if k < 2 or n < 3:
        return Corrected(n, *[math.nan] * 4)
    merged = merge(groups, scores, labels.mean(axis=1), labels)
    columns = [Sorted(column) for column in merged.columns.T]
    one, other = np.triu_indices(k, 1)

    def both(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ranks = np.stack([column.ranks(weights) for column in columns])
        products = np.ascontiguousarray((weights * ranks).transpose(2, 0, 1)) @ ranks.transpose(2, 1, 0)
        own = np.sqrt(products.diagonal(axis1=1, axis2=2))
        with np.errstate(invalid="ignore", divide="ignore"):
            found = products / (own[:, :, None] * own[:, None])
            single = found[:, 2:, 2:][:, one, other].mean(axis=1)
            of_mean = np.array([spearman_brown(r, k) for r in single.tolist()])
            return found[:, 0, 1], np.where(of_mean > 0, found[:, 0, 1] / np.sqrt(of_mean), np.nan)

    observed, corrected = (float(value) for (value,) in both(merged.counts[:, None]))
    if math.isnan(corrected):
        return Corrected(n, observed, *[math.nan] * 3)
    drawn = [both(merged.weights(some))[1] for some in merged.portions()]
    return Corrected(n, observed, corrected, *quantiles(np.concatenate(drawn)))


def _rank_correlations(columns: np.ndarray) -> np.ndarray:
    """Spearman [k, k] between columns [n, k]; NaN for those that are constant."""
    with np.errstate(invalid="ignore"):
        return np.corrcoef(stats.rankdata(columns, axis=0), rowvar=False)
