"""Draws of classes with replacement: the intervals of every statistic, and the same draws for all columns."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 1000
BOOTSTRAP_SEED = 201


def interval(statistic: Callable[[np.ndarray], float], groups: np.ndarray) -> tuple[float, float]:
    """The 2.5 % and 97.5 % quantiles of `statistic` over `RESAMPLES` draws of classes with replacement.

    `groups` [n] are the classes of the observations; `statistic` is given the drawn observations' indices. Draws where
    it is NaN are left out; NaN where that is all of them.
    """
    order = np.argsort(groups, kind="stable")
    parts = np.split(order, np.unique(groups[order], return_index=True)[1][1:])
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    drawn = (np.concatenate([parts[k] for k in rng.integers(len(parts), size=len(parts))]) for _ in range(RESAMPLES))
    return quantiles([statistic(observations) for observations in drawn])


def quantiles(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """The 2.5 % and 97.5 % quantiles of those values that are numbers; NaN where that is none."""
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


@dataclass(frozen=True)
class Merged:
    """Distinct observations: `columns` [m, p] of class `of` [m], each there `counts` [m] times."""

    columns: np.ndarray
    of: np.ndarray
    counts: np.ndarray

    def weights(self, draws: np.ndarray) -> np.ndarray:
        """How often each distinct observation is there in these draws of `interval`, [m, d] as floats."""
        multiplicities = _multiplicities(int(self.of.max(initial=-1)) + 1, RESAMPLES)
        return self.counts[:, None] * multiplicities[:, draws].take(self.of, axis=0)

    def portions(self, draws: Sequence[int] | None = None) -> Iterator[np.ndarray]:
        """All draws, or those named, some at a time: NumPy is slow on one, and a cache does not hold [m, d] of all."""
        chosen = np.arange(RESAMPLES) if draws is None else np.array(draws)
        for start in range(0, len(chosen), 32):
            yield chosen[start : start + 32]


@functools.lru_cache(maxsize=4)  # a table asks for the same draws a hundred times
def _multiplicities(classes: int, resamples: int) -> np.ndarray:
    """How often each class is in each draw of `interval`, [classes, resamples]."""
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    draws = [rng.integers(max(classes, 1), size=classes) for _ in range(resamples)]
    return np.array([np.bincount(drawn, minlength=classes) for drawn in draws], dtype=np.uint16).T.copy()


def merge(groups: np.ndarray, *columns: np.ndarray) -> Merged:
    """Members of a class that share every column become one: our cells shrink to a third."""
    of = np.unique(groups, return_inverse=True)[1]
    rows, counts = np.unique(np.column_stack([of, *columns]), axis=0, return_counts=True)
    return Merged(rows[:, 1:], rows[:, 0].astype(np.intp), counts.astype(float))


class Sorted:
    """Values [n], sorted once, to be ranked in samples that hold some of them several times and others not at all."""

    def __init__(self, values: np.ndarray) -> None:
        place = np.unique(values, return_inverse=True)[1]  # among the distinct ones
        self._order = np.argsort(place, kind="stable")
        ends = np.cumsum(np.bincount(place))
        self._starts, self._ends = np.concatenate([[0], ends[:-1]])[place], ends[place]

    def ranks(self, weights: np.ndarray) -> np.ndarray:
        """Mean ranks [n, d], less their mean, in d samples that hold value i `weights[i]` times."""
        below = np.zeros((len(self._order) + 1, weights.shape[1]))
        np.cumsum(weights.take(self._order, axis=0), axis=0, out=below[1:])
        ranks = below.take(self._starts, axis=0)
        ranks += below.take(self._ends, axis=0)
        ranks -= below[-1]
        ranks /= 2
        return ranks
