"""How well scores rank cells, beyond correlation over all of them: the top, what is picked, what size explains.

Scores [n] and accuracies [n] are finite and paired, and larger is better; `prepare` makes them so. No result depends on
the order of cells: among tied scores a proxy does not choose, and where cells are picked the value is the exact
expectation over all ways to order them. NaN below three cells and where the accuracies are constant, since then there
is nothing to rank. Constant scores have no correlation (NaN); picking by them is picking at random.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

Policy = Literal["drop", "worst"]
"""What becomes of cells without a finite score: left out, or ranked below all others and tied with each other."""
CONSTANT = 1e-9
"""Share of a ranking's norm below which a residual is rounding: one swap among 15,625 ranks leaves 2.5e-6."""


@dataclass(frozen=True)
class Prepared:
    """Scores [m] and accuracies [m] to rank, and what `prepare` did to get them."""

    scores: np.ndarray
    accuracies: np.ndarray
    kept: np.ndarray
    """[n], boolean: which of the cells given are among the m."""
    without_score: int
    """Labelled cells whose score is NaN or infinite: left out under `drop`, last under `worst`."""
    without_accuracy: int
    """Cells that cannot be judged, left out under either policy."""


def prepare(scores: np.ndarray, accuracies: np.ndarray, policy: Policy) -> Prepared:
    """Scores [n] and accuracies [n] without what is not finite, as the policy says.

    `drop` flatters a proxy that fails where it would be wrong; `worst` judges it on the same cells as every other. An
    infinity of either sign counts as a failure. Under `worst` a failed cell gets the largest number below the lowest
    score, which is for ranking alone; 0 where every cell failed. Raises ValueError for another policy.
    """
    if policy not in ("drop", "worst"):
        raise ValueError(f"policy '{policy}' is neither 'drop' nor 'worst'")
    labelled, scored = np.isfinite(accuracies), np.isfinite(scores)
    failed = labelled & ~scored
    kept = labelled & scored if policy == "drop" else labelled
    below = np.nextafter(scores[kept & scored].min(), -np.inf) if (kept & scored).any() else 0.0
    filled = np.where(scored, scores, below)
    return Prepared(filled[kept], accuracies[kept], kept, int(failed.sum()), int((~labelled).sum()))


def weighted_kendall(scores: np.ndarray, accuracies: np.ndarray) -> float:
    """sum_ij w_ij sgn(s_i - s_j) sgn(a_i - a_j), normalised to [-1, 1], with w_ij = 1 / (1 + r_i) + 1 / (1 + r_j).

    Vigna 2015 (doi 10.1145/2736277.2741088), `scipy.stats.weightedtau`. r = 0, 1, ... are places by true accuracy, the
    best first and ties by score: mistakes about the best cells weigh most, wherever the proxy put them. SciPy's default
    would average this with places by score.
    """
    if not _rankable(scores, accuracies) or np.ptp(scores) == 0:
        return math.nan
    return float(stats.weightedtau(accuracies, scores, rank=None).statistic)


@dataclass(frozen=True)
class TopCorrelation:
    """Spearman and Kendall tau-b among the n cells of the true top; NaN below three or where a side is constant."""

    n: int
    spearman: float
    kendall: float


def top_correlation(scores: np.ndarray, accuracies: np.ndarray, share: float) -> TopCorrelation:
    """Correlation among the `share` of cells with the highest accuracy; cells tied with the last of them are in."""
    if not _rankable(scores, accuracies) or share <= 0:
        return TopCorrelation(0, math.nan, math.nan)
    top = _as_good_as(accuracies, top_size(len(accuracies), share))
    n, s, a = int(top.sum()), scores[top], accuracies[top]
    if not _rankable(s, a) or np.ptp(s) == 0:
        return TopCorrelation(n, math.nan, math.nan)
    kendall = stats.kendalltau(s, a, variant="b").statistic
    return TopCorrelation(n, float(stats.spearmanr(s, a).statistic), float(kendall))


def precision_at(scores: np.ndarray, accuracies: np.ndarray, share: float) -> float:
    """Share of a proxy's best k cells that are in the true top k, k = `top_size`: n `share` rounded up.

    In the true top is every cell as accurate as the k-th, so that a perfect proxy has 1 whatever the ties. Chance is
    `share`. The expectation over orders of tied scores: a tied cell counts by its chance to be picked.
    """
    if not _rankable(scores, accuracies) or share <= 0:
        return math.nan
    k = top_size(len(scores), share)
    return float(_picked(scores, k)[_as_good_as(accuracies, k)].sum() / k)


def regret_at(scores: np.ndarray, accuracies: np.ndarray, k: int) -> float:
    """The best accuracy minus the best among the proxy's k best cells, in the accuracies' unit; all cells if k > n.

    The expectation over orders of tied scores: of m tied cells j are drawn, and the i-th most accurate is the best of
    these with chance C(m - i, j - 1) / C(m, j).
    """
    if not _rankable(scores, accuracies) or k < 1:
        return math.nan
    k = min(k, len(scores))
    picked = _picked(scores, k)
    sure = accuracies[picked == 1].max(initial=-np.inf)
    tied = np.sort(accuracies[(picked > 0) & (picked < 1)])[::-1]
    if not len(tied):
        return float(accuracies.max() - sure)
    m, j = len(tied), k - int((picked == 1).sum())
    i = np.arange(m)
    missed = np.cumprod(np.append(1.0, np.maximum(m - j - i[:-1], 0) / (m - i[:-1])))  # none of the first i was drawn
    return float(accuracies.max() - (missed * np.minimum(j / (m - i), 1) * np.maximum(tied, sure)).sum())


def ndcg_at(scores: np.ndarray, accuracies: np.ndarray, k: int) -> float:
    """DCG of the proxy's order over that of the true order, DCG = sum of gain / log2(1 + place) over places 1 to k.

    A cell's gain is the share of other cells that it beats in accuracy, half for a tie: from 0, the worst, to 1.
    Accuracies themselves would not do: they lie so close that any order has nearly 1. A random order has about .5 for
    k far below n. The expectation over orders of tied scores (McSherry and Najork 2008), `sklearn.metrics.ndcg_score`.
    """
    if not _rankable(scores, accuracies) or k < 1:
        return math.nan
    from sklearn.metrics import ndcg_score  # half a second, which most commands need not wait

    gains = (stats.rankdata(accuracies) - 1) / (len(accuracies) - 1)
    ranks = stats.rankdata(scores)  # ties survive, and scores of any size
    return float(ndcg_score(gains[None], ranks[None], k=k))


def partial_spearman(scores: np.ndarray, accuracies: np.ndarray, covariates: np.ndarray) -> float:
    """Pearson's correlation of the ranks of both less their least-squares fit by the covariates' ranks.

    `covariates` [n] or [n, c]: with parameter counts it says what a proxy knows beyond size, with vanilla accuracies
    what it knows of distillation alone. NaN where the covariates leave nothing of a ranking but rounding, and where
    there are not at least three cells more than covariates.
    """
    given = covariates[:, None] if covariates.ndim == 1 else covariates
    if not _rankable(scores, accuracies) or len(scores) < 3 + given.shape[1]:
        return math.nan
    ranks = stats.rankdata(np.column_stack([scores, accuracies, given]), axis=0) - (len(scores) + 1) / 2
    sides, by = ranks[:, :2], ranks[:, 2:]
    residuals = sides - by @ np.linalg.lstsq(by, sides, rcond=None)[0]
    norms = np.linalg.norm(residuals, axis=0)
    if (norms <= CONSTANT * np.linalg.norm(sides, axis=0)).any():
        return math.nan
    return float(np.clip(residuals[:, 0] @ residuals[:, 1] / norms.prod(), -1, 1))


def top_size(n: int, share: float) -> int:
    """n `share` rounded up, at most n."""
    return min(n, math.ceil(n * share - 1e-9))  # .07 of 100 is 7 and a rounding error


def _rankable(scores: np.ndarray, accuracies: np.ndarray) -> bool:
    return len(scores) >= 3 and np.ptp(accuracies) > 0


def _as_good_as(values: np.ndarray, k: int) -> np.ndarray:
    """Whether each value is at least the k-th largest."""
    return values >= np.partition(values, len(values) - k)[len(values) - k]


def _picked(scores: np.ndarray, k: int) -> np.ndarray:
    """Each cell's chance to be among the k best when ties are ordered at random."""
    last = np.partition(scores, len(scores) - k)[len(scores) - k]
    above, tied = scores > last, scores == last
    return above + tied * ((k - above.sum()) / tied.sum())
