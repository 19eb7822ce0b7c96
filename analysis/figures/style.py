"""How all figures look and are saved: sizes, type, shades, and the same bytes every time.

Nothing is told by colour alone: every series has a marker or a shade of its own, and shades order by lightness.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from common.files import together, write_whole

COLUMN, PAGE = 3.5, 7.0
"""Widths in inches, for one column of a paper and for two: printed so, type is 7 to 8 points."""

INK, ACCENT, MIDDLE, PALE, FAINT = "black", "#0072B2", "#808080", "#c8c8c8", "#e6e6e6"
"""The accent (blue of Okabe and Ito's palette) is of middle lightness, between ink and pale."""

DPI = 200
"""Pixels of an inch, in PNG files."""

MARKERS = "osD^vPX<>*"

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with Matplotlib: equal letters on all machines
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "figure.labelsize": 8,
    "figure.titlesize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.0,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.5,
    "figure.dpi": DPI,
    "svg.hashsalt": "diswot-bench",
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw within the block with Matplotlib's defaults and the style above, whatever the user's matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def canvas(width: float, height: float, title: str) -> Figure:
    """Make an empty figure of a size in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    return figure


def panels(names: list[str], title: str, height: float = 1.9) -> tuple[Figure, dict[str, Axes]]:
    """Make small multiples on a page's width, one for each name, with one vertical axis for all."""
    columns = min(3, len(names))
    rows = math.ceil(len(names) / columns)
    figure = canvas(PAGE if columns > 1 else COLUMN, height * rows + 0.6, title)
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False).flatten()
    for unused in grid[len(names) :]:
        unused.set_axis_off()
    return figure, dict(zip(names, grid, strict=False))


def label_below(grid: dict[str, Axes], text: str) -> None:
    """Label the lowest panel's horizontal axis in each column: a label of the figure would collide with a legend."""
    for axes in {axes.get_subplotspec().colspan.start: axes for axes in grid.values()}.values():  # type: ignore[union-attr]
        axes.set_xlabel(text)


def legend_below(figure: Figure, axes: Axes, columns: int, order: list[str] | None = None) -> None:
    """Add a legend of the marks of these axes, under everything else."""
    handles, names = axes.get_legend_handles_labels()
    found = dict(zip(names, handles, strict=True))
    shown = [name for name in order or names if name in found]
    figure.legend([found[name] for name in shown], shown, loc="outside lower center", ncols=columns)


_SILENT: dict[str, dict[str, None]] = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
"""What each format would say of a date or a program, left out."""


def save(figure: Figure, path: Path, endings: Sequence[str] = ("svg", "png")) -> list[Path]:
    """Write `path` with each ending; no file holds a date or the version of a program."""
    found = []
    with together():
        for ending in endings:
            buffer = io.BytesIO()
            figure.savefig(buffer, format=ending, metadata=_SILENT[ending])
            found.append(path.with_name(f"{path.name}.{ending}"))
            write_whole(found[-1], buffer.getvalue())
    return found
