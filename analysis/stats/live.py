"""How well the scores of a run rank so far, for its progress line: cheap enough to be asked often."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from scipy import stats

LEAST = 10
"""Pairs below which an interval says nothing."""
NORMAL = 1.959963984540054


def live(labels: pd.Series) -> Callable[[Mapping[int, float]], str]:
    """What says Spearman of scores by cell with these labels, where both are there; empty while they are few."""
    known = {int(cell): float(label) for cell, label in labels.items()}

    def say(scores: Mapping[int, float]) -> str:
        pairs = np.array([(scores[cell], label) for cell, label in known.items() if cell in scores]).reshape(-1, 2)
        if len(pairs) < LEAST or not np.ptp(pairs, axis=0).all():
            return ""
        rho = float(stats.spearmanr(*pairs.T).statistic)
        low, high = interval(rho, len(pairs))
        return f"Spearman {rho:.2f} ({low:.2f} to {high:.2f}), n = {len(pairs)}"

    return say


def interval(rho: float, n: int) -> tuple[float, float]:
    """The 95 % interval of Spearman's correlation of n pairs by Fisher's z, with the variance of Bonett and Wright
    (Psychometrika 2000): a bootstrap, which the table has, takes a hundred times as long."""
    if abs(rho) == 1:
        return rho, rho
    width = NORMAL * math.sqrt((1 + rho**2 / 2) / (n - 3))
    return math.tanh(math.atanh(rho) - width), math.tanh(math.atanh(rho) + width)
