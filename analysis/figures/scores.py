"""Scores against labels, with how many cells lie where."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator

from analysis.figures.study import Study
from analysis.figures.style import INK, panels, save, styled
from analysis.studies.correlate import Result
from analysis.typeset import number

Scale = Literal["linear", "log"]
DOTS = 1000
"""More cells than these are counted in hexagons."""
SPAN = 100
"""A score the middle 90 % of which are positive and span more than this factor has a logarithmic axis."""
REACH = 1000
"""So many times farther than those it goes at most."""
TAIL = 5
"""Of any other score that spans this many times what its middle 98 % span, only those are shown."""


def draw(study: Study) -> Figure:
    """Draw a panel for each chosen proxy, as `draw_results` does."""
    return draw_results([study.results[name] for name in study.chosen], study.title, study.labels.quantity)


def draw_one(result: Result, benchmark: str, against: str, which: str, quantity: str, output: Path) -> Path:
    """Draw one proxy's scores against labels: `<benchmark>-<proxy>-<against>.png`."""
    title = f"{benchmark}, {quantity.split(',')[0]}\n{result.correlation.n:,} labelled cells of '{which}'"
    with styled():
        figure = draw_results([result], title, quantity)
        (path,) = save(figure, output / stem_of(benchmark, result.proxy, Path(against).stem), ("png",))
    return path


def stem_of(*words: str) -> str:
    """The name of a file, less its ending, that says these words."""
    return re.sub(r"[^A-Za-z0-9.=_-]+", "_", "-".join(words))


def draw_results(results: Sequence[Result], title: str, quantity: str) -> Figure:
    """Draw a panel for each proxy, its Spearman correlation and interval above; all on one scale of labels."""
    figure, grid = panels([result.proxy for result in results], title, height=2.1)
    binned = []
    for result, axes in zip(results, grid.values(), strict=True):
        x, y = result.pairs["score"].to_numpy(), result.pairs["label"].to_numpy()
        scale, (low, high) = extent(x)
        axes.set_xscale(scale)
        if len(x) > DOTS:
            shown = (x >= low) & (x <= high)
            bins = axes.hexbin(
                x[shown], y[shown], gridsize=28, bins="log", mincnt=1, cmap="Greys", linewidths=0, xscale=scale
            )
            binned.append(bins)
        else:
            axes.scatter(x, y, s=9, color=INK, alpha=0.35, linewidths=0)
        _frame(axes, scale, low, high)
        hidden = int(np.sum((x < low) | (x > high)))
        seeds = f", mean of {len(result.seeds)} seeds" if len(result.seeds) > 1 else ""
        axes.set_xlabel(f"score{seeds}" + (f" ({hidden:,} beyond)" if hidden else ""))
        c = result.correlation
        axes.set_title(
            f"{result.proxy}\nSpearman {number(c.spearman)} [{number(c.spearman_low)}, {number(c.spearman_high)}]"
        )
    figure.supylabel(quantity)
    if binned:
        largest = max(bins.get_clim()[1] or 1.0 for bins in binned)
        for bins in binned:
            bins.set_clim(0.2, largest)  # a single cell is seen
        bar = figure.colorbar(binned[0], ax=list(grid.values()), label="cells", shrink=0.6, aspect=30, pad=0.02)
        bar.ax.set_ylim(1, largest)
        bar.ax.yaxis.set_major_formatter("{x:g}")
    return figure


def extent(x: np.ndarray) -> tuple[Scale, tuple[float, float]]:
    """Scale of a score's axis, and the least and largest score to show."""
    bottom, low, high, top = np.quantile(x, [0.05, 0.01, 0.99, 0.95])
    if bottom > 0 and top > SPAN * bottom:
        return "log", (max(x[x > 0].min(), bottom / REACH), min(x.max(), top * REACH))
    if high > low and np.ptp(x) > TAIL * (high - low):
        return "linear", (float(low), float(high))
    if np.ptp(x) == 0:
        return "linear", (float(x[0]) - 1, float(x[0]) + 1)
    return "linear", (float(x.min()), float(x.max()))


def _frame(axes: Axes, scale: Scale, low: float, high: float) -> None:
    """Limits a little outside what is shown, and few ticks."""
    if scale == "log":
        edge = (high / low) ** 0.04
        axes.set_xlim(low / edge, high * edge)
        axes.xaxis.set_major_locator(LogLocator(numticks=5))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        edge = 0.04 * (high - low)
        axes.set_xlim(low - edge, high + edge)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        if max(abs(low), abs(high)) >= 10_000:
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
