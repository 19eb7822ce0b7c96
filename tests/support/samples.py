"""Scores and labels of known making, and correlations counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy import stats

rng = np.random.default_rng


def alone(values: np.ndarray) -> np.ndarray:
    """Every observation a class of its own."""
    return np.arange(len(values))


def kendall_tau_b(x: np.ndarray, y: np.ndarray) -> float:
    """Concordant less discordant pairs, over the root of the pairs untied in x times those untied in y."""
    total = untied_x = untied_y = 0
    for i in range(len(x)):
        for j in range(i):
            a, b = np.sign(x[i] - x[j]), np.sign(y[i] - y[j])
            total += a * b
            untied_x += a != 0
            untied_y += b != 0
    return total / math.sqrt(untied_x * untied_y)


def average_ranks(x: np.ndarray) -> np.ndarray:
    below, equal = (x[:, None] > x[None, :]).sum(1), (x[:, None] == x[None, :]).sum(1)
    return below + (equal + 1) / 2


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    a, b = x - x.mean(), y - y.mean()
    return float((a * b).sum() / math.sqrt((a * a).sum() * (b * b).sum()))


def sample(seed: int, n: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    x = rng(seed).normal(size=n)
    y = x + rng(seed + 1000).normal(size=n)
    return (np.round(x), np.round(2 * y)) if ties else (x, y)


def noisy(cells: int, seeds: int, noise: float) -> tuple[np.ndarray, pd.DataFrame]:
    truth = rng(0).normal(size=cells)
    return truth, pd.DataFrame({seed: truth + noise * rng(seed + 1).normal(size=cells) for seed in range(seeds)})


def scipy_spearman(x: np.ndarray, y: np.ndarray) -> float:
    return float(stats.spearmanr(x, y).statistic) if np.ptp(x) and np.ptp(y) else math.nan
