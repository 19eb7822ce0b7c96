"""Which proxies rank alike: their rank correlations with each other, clustered."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from analysis.figures.study import CannotDraw, Study
from analysis.figures.style import PAGE, canvas

NUMBERED = 26
"""Up to so many proxies, numbers fit the squares."""
LEAST = 4.2
"""Inches; so wide is the title."""


def rank_correlations(scores: dict[str, pd.Series]) -> pd.DataFrame:
    """Spearman between proxies, on the cells that both of a pair score; NaN where one is constant."""
    return pd.DataFrame(scores)[sorted(scores)].corr(method="spearman", min_periods=3)


def clustered(correlations: pd.DataFrame) -> pd.DataFrame:
    """Order rows and columns by a tree: mean linkage of 1 - rho, leaves turned so that neighbours are alike.

    1 - rho and not 1 - |rho|: larger is better, so that a reversed ranking is another opinion. NaN counts as 0.
    """
    distance = 1 - correlations.fillna(0).to_numpy()
    np.fill_diagonal(distance, 0)
    tree = hierarchy.linkage(squareform(distance, checks=False), method="average", optimal_ordering=True)
    order = hierarchy.leaves_list(tree)
    return correlations.iloc[order, order]


def draw(study: Study) -> Figure:
    """Draw a square for each pair, lighter the more alike they rank the cells of the set, labelled or not."""
    if len(study.scores) < 2:
        raise CannotDraw("it needs two proxies")
    table = clustered(rank_correlations(study.scores))
    n, values = len(table), table.to_numpy()
    numbered = n <= NUMBERED
    side = min(PAGE, max(LEAST, n * 0.235 + 1.6)) if numbered else PAGE
    title = (
        f"Spearman between proxies, {study.benchmark}\n{_cells(study.scores)} cells of '{study.which}' that both score"
    )
    figure = canvas(side, side - 0.35, title)
    axes = figure.subplots()
    least = min(0.0, np.floor(10 * np.nanmin(values)) / 10)
    axes.set_facecolor("white")
    image = axes.imshow(values, cmap="cividis", vmin=least, vmax=1, aspect="auto")
    axes.grid(False)
    axes.set_xticks(range(n), table.columns, rotation=90)
    axes.set_yticks(range(n), table.index)
    axes.tick_params(length=0)
    if numbered:
        for row, column in np.argwhere(np.isfinite(values)):
            value = values[row, column]
            shade = "black" if value > (1 + least) / 2 else "white"
            axes.text(column, row, _short(value), ha="center", va="center", fontsize=6, color=shade)
    figure.colorbar(image, ax=axes, label="Spearman's correlation", shrink=0.5, aspect=30, pad=0.02)
    return figure


def _cells(scores: dict[str, pd.Series]) -> str:
    """How many cells two proxies both score, the fewest to the most of all pairs."""
    scored = pd.DataFrame(scores).notna().to_numpy(dtype=int)
    both = (scored.T @ scored)[np.triu_indices(scored.shape[1], 1)]
    least, most = int(both.min()), int(both.max())
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _short(value: float) -> str:
    return f"{value:.2f}".replace("0.", ".", 1).replace("-", "−") if abs(value) < 0.995 else f"{value:.0f}"
