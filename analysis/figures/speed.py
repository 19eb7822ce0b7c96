"""Minutes of a sweep over all cells, family by family: the loops of published scripts beside ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.style import ACCENT, INK, PAGE, PALE, canvas, legend_below, save, styled
from common import results
from common.formats import read_csv, read_json
from spaces.nb201.cell import cells

FOLDER = results.SPEED
OUTPUT = results.FIGURES
COLUMNS = ["proxies", "conventional", "own", "passes", "ratio"]


def draw_all(folder: Path = FOLDER, output: Path = OUTPUT) -> list[Path]:
    """Draw `<benchmark>-speed.{svg,png}` of every measurement of `make speed`. Raises BadInput."""
    written = []
    for path in sorted(folder.glob("*.csv")):
        if not path.stem.endswith("-growth"):
            rates, made = read(path)
            with styled():
                written += save(draw(rates, made), output / f"{path.stem}-speed")
    return written


def read(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read the rates of a measurement and what made them. Raises BadInput."""
    again = "`make speed` makes it"
    made = read_json(path.with_suffix(".json"), again, ("benchmark", "workers", "device"))
    return read_csv(path, again, COLUMNS)[COLUMNS], made


def draw(rates: pd.DataFrame, made: dict[str, Any]) -> Figure:
    """Draw a line for each family, from our time to the conventional one, and how many times that is."""
    title = f"{made['benchmark']}: a sweep of {len(cells()):,} cells, {made['workers']} workers on {made['device']}"
    figure = canvas(PAGE, 0.9 + 0.32 * len(rates), title)
    axes = figure.add_subplot()
    conventional = rates["conventional"] * len(cells()) / 60
    own = rates["own"] * rates["passes"] / 60
    places = range(len(rates))
    axes.hlines(places, own, conventional, color=PALE, linewidth=2, zorder=1)
    axes.plot(own, places, "o", color=ACCENT, label="here", linestyle="none")
    axes.plot(
        conventional, places, "s", markerfacecolor="white", color=INK, label="conventional loops", linestyle="none"
    )
    for place, (left, right, ratio) in enumerate(zip(own, conventional, rates["ratio"], strict=True)):
        axes.annotate(
            f"{ratio:.0f} times", ((left * right) ** 0.5, place), (0, 3), textcoords="offset points", ha="center"
        )
    axes.set_xscale("log")
    axes.set_yticks(list(places), [name.replace(",", ", ") for name in rates["proxies"]])
    axes.set_ylim(len(rates) - 0.5, -0.7)
    axes.set_xlabel("minutes a sweep, extrapolated from a sample of cells")
    legend_below(figure, axes, 2)
    return figure
