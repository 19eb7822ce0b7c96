"""How many cells must be scored before a correlation can be trusted."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from scipy import stats

from analysis.figures.study import CannotDraw, Study
from analysis.figures.style import INK, PALE, label_below, legend_below, panels
from analysis.typeset import number

TICKS = (10, 30, 100, 300, 1000, 3000, 10000)
DRAWS = 300
SEED = 201
SIZES = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


def curve(pairs: pd.DataFrame) -> pd.DataFrame:
    """Compute, by number of cells, the 2.5 %, 50 % and 97.5 % quantiles of Spearman over random subsets of these pairs.

    Subsets are drawn without replacement; the last row is all cells, where no band is left.
    """
    n = len(pairs)
    rng = np.random.default_rng(SEED)
    columns = pairs[["score", "label"]].to_numpy()
    rows = {}
    for size in [size for size in SIZES if size < n]:
        values = [_spearman(columns[rng.choice(n, size, replace=False)]) for _ in range(DRAWS)]
        rows[size] = np.nanquantile(values, [0.025, 0.5, 0.975]) if np.isfinite(values).any() else [np.nan] * 3
    rows[n] = [_spearman(columns)] * 3
    return pd.DataFrame.from_dict(rows, orient="index", columns=["low", "median", "high"])


def _spearman(columns: np.ndarray) -> float:
    if np.any(np.ptp(columns, axis=0) == 0):
        return np.nan
    return float(np.corrcoef(stats.rankdata(columns, axis=0), rowvar=False)[0, 1])


def draw(study: Study) -> Figure:
    """Draw a panel for each chosen proxy: median and 95 % band over random subsets of the labelled cells."""
    if study.n <= SIZES[0]:
        raise CannotDraw(f"only {study.n} labelled cells")
    figure, grid = panels(study.chosen, study.title)
    for name, axes in grid.items():
        found = curve(study.results[name].pairs)
        axes.fill_between(found.index, found["low"], found["high"], color=PALE, linewidth=0, label="95 % of subsets")
        axes.plot(found.index, found["median"], color=INK, marker="o", markersize=3, label="median")
        last = found["median"].iloc[-1]
        axes.axhline(last, color=INK, linestyle=":", label="all labelled cells")
        axes.axhline(0, color=INK, linewidth=0.6)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(TICKS))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.set_title(f"{name}, {number(last)}")
    legend_below(figure, next(iter(grid.values())), 3)
    label_below(grid, "cells scored")
    figure.supylabel("Spearman's correlation")
    return figure
