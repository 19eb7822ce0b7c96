"""Whether a proxy ranks well everywhere, or only tells bad cells from the rest."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from analysis.figures.study import Study
from analysis.figures.style import ACCENT, INK, label_below, legend_below, panels
from analysis.read.columns import BASELINE
from analysis.stats.correlation import Correlation, correlate
from analysis.typeset import number
from spaces.space import Space

PARTS = 5
OWN, ALL = "the proxy of the panel", "the same on all cells"


def parts(labels: np.ndarray) -> np.ndarray:
    """Return the fifth of each label [n], 0 the lowest to 4; ties stay together."""
    shares = (stats.rankdata(labels) - 0.5) / len(labels)
    return np.minimum((shares * PARTS).astype(int), PARTS - 1)


def within(pairs: pd.DataFrame, space: Space) -> list[Correlation]:
    """Return the correlation inside each fifth of the ranking by label, from the lowest."""
    stands_for = np.array(space.representatives("function"))
    inside = parts(pairs["label"].to_numpy())
    found = []
    for part in range(PARTS):
        rows = pairs[inside == part]
        groups = stands_for[rows.index.to_numpy(dtype=int)]
        found.append(correlate(rows["score"].to_numpy(), rows["label"].to_numpy(), groups))
    return found


def draw(study: Study) -> Figure:
    """Draw a panel for each chosen proxy: dot and 95 % interval a fifth, a line for Spearman overall, params beside."""
    figure, grid = panels(study.chosen, study.title)
    x = np.arange(1, PARTS + 1)
    shown = {*study.chosen, BASELINE} & set(study.results)
    found = {name: within(study.results[name].pairs, study.labels.space) for name in shown}
    for name, axes in grid.items():
        whole = study.results[name].correlation.spearman
        axes.axhline(0, color=INK, linewidth=0.6)
        axes.axhline(whole, color=INK, linestyle=":", label=ALL)
        if name == BASELINE or BASELINE not in found:
            _dots(axes, x, found[name], "o", INK, INK, OWN)
        else:
            _dots(axes, x - 0.14, found[name], "o", INK, INK, OWN)
            _dots(axes, x + 0.14, found[BASELINE], "^", ACCENT, "white", BASELINE)
        axes.set_title(f"{name}, {number(whole)}")
        axes.set_xticks(x, ["lowest", "2", "3", "4", "highest"])
        axes.set_xlim(0.5, PARTS + 0.5)
    other = next((axes for name, axes in grid.items() if name != BASELINE), next(iter(grid.values())))
    legend_below(figure, other, 3, [OWN, BASELINE, ALL])
    label_below(grid, f"fifth by {study.kind}")
    figure.supylabel("Spearman in the fifth, 95 % interval")
    return figure


def _dots(axes: Axes, x: np.ndarray, found: list[Correlation], marker: str, colour: str, fill: str, label: str) -> None:
    axes.vlines(
        x,
        [each.spearman_low for each in found],
        [each.spearman_high for each in found],
        color=colour,
        linewidth=0.9,
    )
    axes.plot(
        x,
        [each.spearman for each in found],
        linestyle="none",
        marker=marker,
        markersize=4.5,
        color=colour,
        markerfacecolor=fill,
        label=label,
    )
