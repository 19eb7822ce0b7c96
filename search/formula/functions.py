"""Functions and their statistics as arrays, what a formula makes of them, and how that ranks them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from search.formula.expression import Formula
from search.formula.names import STUDENT, TEACHER
from search.formula.operations import BINARY, UNARY
from search.formula.store import Sweep


@dataclass(frozen=True)
class Functions:
    """`Functions` holds statistics of n functions of one seed by name: float64 [n, positions], the teacher's [1,
    positions]."""

    cells: tuple[int, ...]
    statistics: Mapping[str, np.ndarray]

    def values(self, formula: Formula) -> np.ndarray:
        """What a formula makes of the functions, the mean over positions: float32 [n], so that the last digits of
        float64, which another machine may compute otherwise, rank nothing."""
        with np.errstate(all="ignore"):
            found = self._array(formula).mean(axis=1)
            return np.broadcast_to(found, len(self.cells)).astype(np.float32)

    def _array(self, formula: Formula) -> np.ndarray:
        if not formula.parts:
            return self.statistics[formula.name]
        parts = [self._array(part) for part in formula.parts]
        return UNARY[formula.name](*parts) if len(parts) == 1 else BINARY[formula.name](*parts)

    def of(self, chosen: Sequence[int]) -> Functions:
        """Some of them, by their places."""
        cells = tuple(self.cells[at] for at in chosen)
        return Functions(cells, {name: one if len(one) == 1 else one[chosen] for name, one in self.statistics.items()})


def functions_of(sweep: Sweep, cells: Sequence[int]) -> Functions:
    """The statistics of these cells, which the sweep has."""
    students = np.array([sweep.students[cell] for cell in cells], float)
    arrays = {name: students[:, at] for at, name in enumerate(STUDENT)}
    return Functions(tuple(cells), arrays | {name: sweep.teacher[None, at] * 1.0 for at, name in enumerate(TEACHER)})


def mean_values(seeds: Sequence[Functions], formula: Formula) -> np.ndarray:
    """Mean over seeds of what a formula makes of functions, float32 [n]; not finite where one seed's is not."""
    with np.errstate(all="ignore"):
        return np.mean([one.values(formula) for one in seeds], axis=0, dtype=float).astype(np.float32)


class Spearman:
    """Spearman's correlation with labels that are ranked once; NaN for values that are all equal."""

    def __init__(self, labels: np.ndarray) -> None:
        self._labels = _ranks(labels)

    def __call__(self, values: np.ndarray) -> float:
        ranks = _ranks(values)
        return float(ranks @ self._labels) / len(ranks) if ranks.any() else math.nan


def _ranks(values: np.ndarray) -> np.ndarray:
    """Mean ranks less their mean, over their standard deviation; zeros of values that are all equal."""
    from scipy.stats import rankdata  # imported late: a word that is refused need not wait for it

    ranks = rankdata(values)
    ranks = ranks - ranks.mean()
    spread = ranks.std()
    return ranks / spread if spread > 0 else ranks


class Kendall:
    """Kendall's tau-b with labels."""

    def __init__(self, labels: np.ndarray) -> None:
        self._labels = labels

    def __call__(self, values: np.ndarray) -> float:
        from scipy.stats import kendalltau

        return float(kendalltau(values, self._labels).statistic)


FITNESS: dict[str, Callable[[np.ndarray], Callable[[np.ndarray], float]]] = {"spearman": Spearman, "kendall": Kendall}
"""What a formula is judged by, made of labels."""
