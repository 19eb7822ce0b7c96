"""What a proxy costs against what it is worth."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator
from matplotlib.transforms import Bbox

from analysis.figures.study import CannotDraw, Study
from analysis.figures.style import ACCENT, INK, MIDDLE, PAGE, PALE, canvas, legend_below
from analysis.read.columns import BASELINE
from analysis.read.costs import forwards

PLACES = [
    *((x, 0, ha, "center_baseline") for x, ha in ((5, "left"), (-5, "right"))),
    *((0, y, "center", va) for y, va in ((5, "bottom"), (-5, "top"))),
    *(
        (x, y, "left" if x > 0 else "right", "bottom" if y > 0 else "top")
        for far in (4, 8, 13, 18, 24)
        for x in (far, -far)
        for y in (far / 2, -far / 2, far, -far)
    ),
]
"""Offsets of a name from its dot in points, and its alignment; the first that is free is taken."""
LEAST = 0.1
"""Forward passes: what anything cheaper is drawn at, closed forms mostly."""


def front(cost: np.ndarray, worth: np.ndarray) -> np.ndarray:
    """Say which points [n] are on the front: nothing as cheap is worth more, nothing worth as much is cheaper."""
    cheaper, better = cost[None] <= cost[:, None], worth[None] >= worth[:, None]
    strictly = (cost[None] < cost[:, None]) | (worth[None] > worth[:, None])
    beaten: np.ndarray = np.any(cheaper & better & strictly, axis=1)
    return ~beaten


def draw(study: Study, folder: Path) -> Figure:
    """Draw a dot a proxy, those on the front filled; names where there is room, first of the front and the chosen."""
    measured = pd.Series(forwards(folder, study.benchmark), dtype=float)
    if measured.empty:
        raise CannotDraw(f"no costs in {folder}: `python -m bench cost --benchmark {study.benchmark}` measures them")
    spearman = pd.Series({name: result.correlation.spearman for name, result in study.results.items()})
    both = (
        pd.DataFrame({"cost": measured.clip(lower=LEAST), "spearman": spearman})
        .sort_index()
        .dropna()
        .sort_values("spearman", ascending=False, kind="stable")
    )
    if both.empty:
        raise CannotDraw(f"{folder / study.benchmark}.csv names no published proxy")
    cost, worth = both["cost"].to_numpy(), both["spearman"].to_numpy()
    best = front(cost, worth)
    figure = canvas(PAGE, 4 + 0.05 * max(0, len(both) - 15), study.title)
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
    axes.scatter(cost, worth, s=16, facecolors="white", edgecolors=INK, linewidths=0.8, zorder=2)
    along = np.lexsort((worth[best], cost[best]))
    axes.plot(
        cost[best][along],
        worth[best][along],
        color=PALE,
        drawstyle="steps-post",
        marker="o",
        markersize=4.5,
        markerfacecolor=INK,
        markeredgecolor=INK,
        zorder=3,
        label="nothing as cheap is better",
    )
    if BASELINE in spearman:
        axes.axhline(spearman[BASELINE], color=ACCENT, linestyle="--", label=f"{BASELINE}, the line to beat", zorder=1)
    label = f"cost of a cell, forward passes of the benchmark's network (at least {LEAST})\n"
    axes.set_xlabel(label)
    axes.set_ylabel("Spearman's correlation")
    axes.margins(0.06)
    legend_below(figure, axes, 2)
    first = [*both.index[best], *[name for name in study.chosen if name in both.index]]
    unnamed = _name(axes, both, list(dict.fromkeys([*first, *both.index])))
    if unnamed:
        axes.set_xlabel(f"{label}{len(unnamed)} dots have no room for their names")
    return figure


def _name(axes: Axes, points: pd.DataFrame, order: list[str]) -> list[str]:
    """Write names beside their dots, over no dot, name or line; returned are those that found no room."""
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # what was placed stays where it was placed
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    point = figure.dpi / 72
    inside = axes.get_window_extent(renderer)
    at = dict(zip(points.index, axes.transData.transform(points[["cost", "spearman"]].to_numpy()), strict=True))
    dots = {name: Bbox([each, each]).padded(3 * point) for name, each in at.items()}
    lines = [Bbox(part).padded(point) for line in axes.lines for part in _steps(line)]
    names: dict[str, Bbox] = {}
    for name in order:
        others = [*(box for other, box in dots.items() if other != name), *names.values()]
        obstacles = [box for box in others if not box.contains(*at[name])]  # of lines; dots may touch
        dot = points.at[name, "cost"], points.at[name, "spearman"]
        text = axes.annotate(name, dot, textcoords="offset points", xytext=(0, 0), fontsize=7)
        for x, y, ha, va in PLACES:
            text.set(position=(x, y), ha=ha, va=va)
            box = text.get_window_extent(renderer)
            way = at[name] + np.linspace(0, point, 12)[:, None] * (x, y)
            if (
                inside.contains(box.x0, box.y0)
                and inside.contains(box.x1, box.y1)
                and not box.count_overlaps([*others, dots[name], *lines])
                and not any(each.contains(*pixel) for each in obstacles for pixel in way)
            ):
                names[name] = box.padded(point)
                _lead(axes, dot, (x, y))
                break
        else:
            text.remove()
    return [name for name in order if name not in names]


def _steps(line: Line2D) -> list[np.ndarray]:
    """The straight parts of a line as it is drawn, pairs of points in pixels."""
    vertices = line.get_transform().transform(line.get_path().vertices)
    if line.get_drawstyle() == "steps-post":
        corners = [(after[0], before[1]) for before, after in itertools.pairwise(vertices)]
        vertices = np.array([*itertools.chain(*zip(vertices, corners, strict=False)), vertices[-1]])
    return [np.array(pair) for pair in itertools.pairwise(vertices)]


def _lead(axes: Axes, dot: tuple[float, float], offset: tuple[float, float]) -> None:
    """A line from a name's corner to its dot, unless it stands beside it."""
    if min(map(abs, offset)) > 0:
        style = {"arrowstyle": "-", "color": MIDDLE, "linewidth": 0.4, "shrinkA": 0, "shrinkB": 2}
        axes.annotate("", dot, textcoords="offset points", xytext=offset, arrowprops=style)
