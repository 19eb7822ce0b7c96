"""What each operation on each edge does to the rank of a cell: by its label, and by proxies.

The space is a full factorial, five operations on each of six edges. Where every cell has a value, the main effect of an
operation on an edge is the mean over the 3,125 cells that have it there, minus the mean over all: exact. Where only a
sample has, it is estimated by least squares, all effects at once, with those of an edge summing to zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.study import CannotDraw, Study
from analysis.figures.style import ACCENT, INK, MARKERS, MIDDLE, PALE, legend_below, panels
from analysis.read.columns import label_cells
from analysis.stats import bootstrap
from analysis.stats.bootstrap import BOOTSTRAP_SEED
from spaces.nb201.cell import EDGES, OPERATIONS, cells
from spaces.nb201.equivalence import representatives

INTERVAL = "95 % interval of the estimate"
SHORT = ("none", "skip", "1×1", "3×3", "pool")


@dataclass(frozen=True)
class Effects:
    """An `Effects` holds main effects [edge, operation] from n cells; `exact` where that is all of them."""

    values: np.ndarray
    n: int
    exact: bool


def percentiles(values: pd.Series) -> pd.Series:
    """Turn values into mean ranks in percent of the cells that have one: 0 the lowest, 100 the highest."""
    return 100 * (values.rank() - 0.5) / len(values)


def main_effects(values: pd.Series) -> Effects:
    """Compute the main effects of values by cell. Raises CannotDraw where the cells do not tell all effects apart."""
    found = values.dropna()
    operations, y = _operations(found), found.to_numpy(dtype=float)
    if len(found) == len(cells()):
        means = [[y[operations[:, edge] == each].mean() for each in range(5)] for edge in range(6)]
        return Effects(np.array(means) - y.mean(), len(found), exact=True)
    design = _design(operations)
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise CannotDraw(f"{len(y)} cells are too few to tell the operations apart: label or score more")
    return Effects(_by_edge(np.linalg.lstsq(design, y, rcond=None)[0]), len(found), exact=False)


def _operations(values: pd.Series) -> np.ndarray:
    return np.array([cells()[int(cell)].operations for cell in values.index])


def _design(operations: np.ndarray) -> np.ndarray:
    """Constant and, for each edge, four columns [n, 25]; the last operation is minus the sum of the others."""
    columns = [np.ones((len(operations), 1))]
    for edge in range(len(EDGES)):
        one_hot = np.eye(len(OPERATIONS))[operations[:, edge]]
        columns.append(one_hot[:, :-1] - one_hot[:, -1:])
    return np.hstack(columns)


def intervals(values: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """95 % bootstrap interval of estimated effects, low and high: whole classes are drawn, each being one observation.

    Draws that do not tell all effects apart are left out; NaN where that is all of them.
    """
    found = values.dropna()
    design, y = _design(_operations(found)), found.to_numpy(dtype=float)
    _, of_class = np.unique(np.array(representatives("function"))[found.index.to_numpy(dtype=int)], return_inverse=True)
    count, width = of_class.max() + 1, design.shape[1]
    gram, moment = np.zeros((count, width, width)), np.zeros((count, width))
    np.add.at(gram, of_class, design[:, :, None] * design[:, None, :])
    np.add.at(moment, of_class, design * y[:, None])
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    drawn = []
    for _ in range(bootstrap.RESAMPLES):
        weights = np.bincount(rng.integers(count, size=count), minlength=count)
        solution, _, rank, _ = np.linalg.lstsq(np.tensordot(weights, gram, 1), weights @ moment, rcond=None)
        if rank == width:
            drawn.append(_by_edge(solution))
    if not drawn:
        unknown = np.full((len(EDGES), len(OPERATIONS)), np.nan)
        return unknown, unknown
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return low, high


def _by_edge(solution: np.ndarray) -> np.ndarray:
    free = solution[1:].reshape(len(EDGES), len(OPERATIONS) - 1)
    return np.hstack([free, -free.sum(axis=1, keepdims=True)])


def draw(study: Study) -> Figure:
    """Draw a panel for each edge: bars are effects on the label, markers those on the chosen proxies' scores."""
    if not study.labels.space.cell_based:
        raise CannotDraw("effects are of the operations of cells, and these networks have none")
    labels = percentiles(label_cells(study.labels, "all"))
    truth = main_effects(labels)
    found = {name: main_effects(percentiles(study.everywhere[name].dropna())) for name in study.chosen}
    how = (
        "exact, all cells" if truth.exact else f"least squares, {truth.n:,} cells of {len(study.labels.mean)} functions"
    )
    figure, grid = panels([f"edge {source} → {target}" for source, target in EDGES], "")
    figure.suptitle(f"{study.benchmark}: what an operation does to a cell's rank\n{study.kind}: {how}")
    x = np.arange(len(OPERATIONS))
    low, high = (None, None) if truth.exact else intervals(labels)
    for edge, (name, axes) in enumerate(grid.items()):
        bars = axes.bar(x, truth.values[edge], width=0.94, color=PALE, label=_called(study.kind, truth))
        if low is not None and high is not None:
            for bar in bars:
                bar.set_hatch("////")
                bar.set_edgecolor("white")
            axes.vlines(x, low[edge], high[edge], color=MIDDLE, linewidth=2.5, label=INTERVAL)
        for number, (proxy, effects) in enumerate(found.items()):
            axes.plot(
                x + 0.84 * ((number + 0.5) / len(found) - 0.5),
                effects.values[edge],
                linestyle="none",
                marker=MARKERS[number % len(MARKERS)],
                markersize=3.5,
                markeredgecolor=INK,
                markeredgewidth=0.6,
                markerfacecolor=(INK, "white", ACCENT)[number % 3],
                label=_called(proxy, effects),
            )
        axes.axhline(0, color=INK, linewidth=0.6)
        axes.set_title(name)
        axes.set_xticks(x, SHORT)
        axes.tick_params(axis="x", length=0)
        axes.grid(axis="x", visible=False)
    order = [_called(study.kind, truth), INTERVAL, *(_called(*each) for each in found.items())]
    legend_below(figure, grid[name], 3, order)
    figure.supylabel("main effect on the rank, percentile points")
    return figure


def _called(name: str, effects: Effects) -> str:
    return name if effects.exact else f"{name}, estimated ({effects.n:,} cells)"
