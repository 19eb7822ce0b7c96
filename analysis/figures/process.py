"""How much each pathway of a learned process weighs over the distillation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from analysis.figures.style import ACCENT, COLUMN, INK, MARKERS, MIDDLE, PALE, canvas, save, styled
from common import results
from distill.process.process import Process, read_process

FOLDER = results.PROCESSES
OUTPUT = results.FIGURES
MOST_NAMED = 5
"""Pathways with a line of their own: those that weigh most at any time."""
LOOKS: tuple[dict[str, Any], ...] = tuple(
    {"color": color, "linestyle": line, "marker": marker}
    for color, line, marker in zip(
        (INK, ACCENT, MIDDLE, INK, ACCENT), ("-", "-", "-", "--", ":"), MARKERS, strict=False
    )
)


def draw_all(folder: Path = FOLDER, output: Path = OUTPUT) -> list[Path]:
    """Draw `<process>-weights.{svg,png}` of every process in a folder."""
    return [written for path in sorted(folder.glob("*.json")) for written in draw(path, output)]


def draw(path: Path, output: Path = OUTPUT) -> list[Path]:
    """Draw `<process>-weights.{svg,png}` of the process in a file. Raises BadInput."""
    process = read_process(path)
    with styled():
        return save(weights(process, path.stem), output / f"{path.stem}-weights")


def weights(process: Process, title: str) -> Figure:
    """Draw a line a pathway: the heaviest by name, others pale; the dotted line is the mean of all, equal weights."""
    figure = canvas(COLUMN, 3.1, title)
    axes = figure.subplots()
    values, times = np.array(process.weights), np.array(process.times)
    heaviest = sorted(range(len(process.pathways)), key=lambda place: (-values[:, place].max(), place))
    named, others = heaviest[:MOST_NAMED], heaviest[MOST_NAMED:]
    for place in others:
        axes.plot(times, values[:, place], color=PALE, linewidth=0.8)
    for look, place in zip(LOOKS, named, strict=False):
        every = max(1, len(times) // 8)
        label = process.pathways[place].replace("-", " to ", 1).replace("-", ", ")
        axes.plot(times, values[:, place], markersize=3.5, markevery=every, label=label, **look)
    equal = float(np.mean(process.averages))
    axes.axhline(equal, color=MIDDLE, linestyle=(0, (1, 3)), linewidth=0.8, label="equal weights")
    if others:
        axes.plot([], [], color=PALE, linewidth=0.8, label=f"{len(others)} others")
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=min(0.0, float(values.min())))
    axes.set_xlabel("share of the distillation done")
    axes.set_ylabel("weight of the pathway")
    figure.legend(
        loc="outside lower center", ncols=2, title="teacher's stage to student's stage, transform", title_fontsize=7
    )
    return figure
