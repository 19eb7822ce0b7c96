"""Shares of random effects in the variance of a ranking."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from scipy import stats


def variance_shares(scores: np.ndarray, factors: Sequence[str]) -> dict[str, float]:
    """Share of each random effect in the variance of one score's rank among all, by name: "cell", "cell x seed", ...

    `scores` is fully crossed with one score a combination: [cells, seeds], or [cells, weight seeds, batch seeds];
    `factors` names its axes. The effects are all products of axes, the last of all axes together: the residual, since
    nothing is replicated. The variance of effect S is sum over T containing S of (-1)^(|T| - |S|) MS_T, over the number
    of scores in one level of S (balanced analysis of variance, expected mean squares), and 0 where that is negative.
    The share of "cell" is the intraclass correlation ICC(2,1) of Shrout and Fleiss 1979: of two axes, how far a single
    seed's rank stands for the cell. Cells with a score that is not finite are left out. NaN where fewer than three
    cells or two levels remain, or all scores are equal.
    """
    axes = range(scores.ndim)
    effects = [part for size in range(1, scores.ndim + 1) for part in itertools.combinations(axes, size)]
    names = [" x ".join(factors[axis] for axis in effect) for effect in effects]
    complete = scores[np.isfinite(scores).all(axis=tuple(axes[1:]))]
    if len(complete) < 3 or min(complete.shape) < 2 or np.ptp(complete) == 0:
        return dict.fromkeys(names, math.nan)
    ranks = stats.rankdata(complete).reshape(complete.shape)
    squares = {effect: _mean_square(ranks, effect) for effect in effects}
    variances = []
    for effect in effects:
        signed = [(-1) ** (len(t) - len(effect)) * squares[t] for t in effects if set(effect) <= set(t)]
        variances.append(max(sum(signed) / _others(ranks, effect), 0.0))
    return {name: variance / sum(variances) for name, variance in zip(names, variances, strict=True)}


def _mean_square(values: np.ndarray, effect: tuple[int, ...]) -> float:
    """Sum of squares over degrees of freedom of an effect: means over its axes' levels, less all effects within."""
    deviations = np.zeros((1,) * values.ndim)
    for size in range(len(effect) + 1):
        for part in itertools.combinations(effect, size):
            rest = tuple(set(range(values.ndim)) - set(part))
            deviations = deviations + (-1) ** (len(effect) - size) * values.mean(axis=rest, keepdims=True)
    freedom = math.prod(values.shape[axis] - 1 for axis in effect)
    return float((deviations**2).sum() * _others(values, effect) / freedom)


def _others(values: np.ndarray, effect: tuple[int, ...]) -> int:
    """Values in one combination of the effect's levels."""
    return math.prod(size for axis, size in enumerate(values.shape) if axis not in effect)
