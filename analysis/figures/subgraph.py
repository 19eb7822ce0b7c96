"""How L1 gates cut a student out of a teacher's graph: the gates over training, and the graph that is left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.style import ACCENT, INK, MIDDLE, PALE, label_below, panels, save, styled
from analysis.tables.subgraph import AGAIN, Cut, read
from common import results
from common.formats import read_csv
from search.subgraph.words import FOLDER, FOUND

OUTPUT = results.FIGURES
LINES: tuple[Any, ...] = ("-", "--", ":", "-.")
MOST_NAMED = 8
"""Gates that get a line of their own in the legend; where there are more, only what happened to them is told."""
NODES = {0: (0.0, 0.0), 1: (1.0, 0.85), 2: (2.0, -0.85), 3: (3.0, 0.0)}
"""Where the nodes of a cell stand."""
BEND = {(0, 3): 0.0, (0, 1): 0.1, (0, 2): -0.1, (1, 2): 0.0, (1, 3): 0.1, (2, 3): -0.1}


def draw_all(benchmark: str, folder: Path = FOLDER, output: Path = OUTPUT) -> list[Path]:
    """Draw `<benchmark>-subgraph-<gates>-<budget>-{gates,graph}.{svg,png}` of every finished study."""
    written = []
    for cut in read(benchmark, folder):
        stem = f"{benchmark}-subgraph-{cut.name.removeprefix(f'{benchmark}-')}"
        with styled():
            written += save(gates(cut), output / f"{stem}-gates")
            written += save(graph(cut), output / f"{stem}-graph")
    return written


def history(cut: Cut) -> dict[int, pd.DataFrame]:
    """Read `lambda` and every gate by step, for each seed. Raises BadInput."""
    shown = ["lambda", *cut.settings["elements"]]
    found = read_csv(cut.history, AGAIN, ("seed", "step", *shown)).set_index("step")
    return {int(seed): part[shown] for seed, part in found.groupby("seed")}


def title(cut: Cut) -> str:
    """Write the title of both figures."""
    budget = cut.settings["budget"]
    return f"{cut.settings['benchmark']}, gates on {cut.settings['gates']}, at most {budget:,} parameters"


def gates(cut: Cut) -> Figure:
    """Draw a panel a seed: every gate after each step, lambda on the axis to the right, a cross where a gate closed."""
    by_seed = history(cut)
    figure, grid = panels([f"seed {seed}" for seed in by_seed], title(cut), height=2.1)
    elements = cut.settings["elements"]
    named = len(elements) <= MOST_NAMED
    for (seed, values), axes in zip(by_seed.items(), grid.values(), strict=True):
        axes.set_title(f"seed {seed}")
        for number, name in enumerate(elements):
            _gate(axes, values[name], number, named)
        beside = axes.twinx()
        beside.plot(values.index, values["lambda"], color=PALE, linewidth=2.5)
        beside.set_ylim(0, max(float(part["lambda"].max()) for part in by_seed.values()) * 1.05 or 1)
        beside.grid(visible=False)
        beside.tick_params(colors=MIDDLE)
        beside.spines["right"].set_visible(True)
        beside.set_ylabel("lambda", color=MIDDLE)
        axes.set_zorder(beside.get_zorder() + 1)
        axes.patch.set_visible(False)
    for axes in grid.values():  # only now: panels share the axis, and the first would set its end for all
        axes.set_ylim(bottom=0)
    _legend(figure, elements if named else None)
    label_below(grid, "step")
    figure.supylabel("gate")
    return figure


def _gate(axes: Axes, values: pd.Series, number: int, named: bool) -> None:
    closed = values[values == 0]
    shown = values[: closed.index[0]] if len(closed) else values
    look: dict[str, Any]
    if named:
        look = {"color": INK if number % 2 else ACCENT, "linestyle": LINES[number // 2 % len(LINES)]}
    else:
        look = {"color": MIDDLE if len(closed) else INK, "linestyle": ":" if len(closed) else "-"}
        look["rasterized"] = True  # a hundred of them fill an SVG with megabytes
    axes.plot(shown.index, shown, linewidth=0.9, **look)
    if len(closed):
        axes.plot(closed.index[:1], [0], linestyle="", marker="x", markersize=5, color=look["color"], clip_on=False)


def _legend(figure: Figure, elements: Sequence[str] | None) -> None:
    if elements:
        marks = [
            Line2D([], [], color=INK if n % 2 else ACCENT, linestyle=LINES[n // 2 % len(LINES)], label=name)
            for n, name in enumerate(elements)
        ]
    else:
        marks = [
            Line2D([], [], color=INK, label="stays open"),
            Line2D([], [], color=MIDDLE, linestyle=":", label="closes"),
        ]
    marks.append(Line2D([], [], color=INK, linestyle="", marker="x", markersize=5, label="exactly 0 from here on"))
    marks.append(Line2D([], [], color=PALE, linewidth=2.5, label="lambda"))
    figure.legend(handles=marks, loc="outside lower center", ncols=4)


def graph(cut: Cut) -> Figure:
    """Draw a panel a seed: what is kept solid, what is cut dashed, and the student's accuracy."""
    by_seed = cut.settings["kept"]
    figure, grid = panels([f"seed {seed}" for seed in by_seed], title(cut), height=1.7)
    found = cut.rows[cut.rows["kind"] == FOUND].set_index("seed")
    of_cells = all("->" in name for name in cut.settings["elements"])
    for (seed, kept), axes in zip(by_seed.items(), grid.values(), strict=True):
        row = found.loc[int(seed)]
        axes.set_title(f"seed {seed}: {row['parameters']:,} parameters, {row['distilled']:.2f} %")
        axes.set_axis_off()
        (_cell if of_cells else _chain)(axes, cut.settings["elements"], set(kept))
    marks = [
        Line2D([], [], color=INK, linewidth=1.4, label="kept"),
        Line2D([], [], color=MIDDLE, linestyle="--", linewidth=0.8, label="cut"),
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=2)
    return figure


SHORT = {"skip_connect": "skip", "nor_conv_1x1": "1x1", "nor_conv_3x3": "3x3", "avg_pool_3x3": "pool"}


def _cell(axes: Axes, elements: Sequence[str], kept: set[str]) -> None:
    """Nodes from the cell's input to its output; an edge is named by what is kept on it."""
    edges: dict[tuple[int, int], list[str]] = {}
    for name in elements:
        ends, operation = name.split()
        source, target = map(int, ends.split("->"))
        edges.setdefault((source, target), []).extend([SHORT[operation]] if name in kept else [])
    for between, operations in edges.items():
        (x0, y0), (x1, y1) = NODES[between[0]], NODES[between[1]]
        solid = bool(operations)
        look = {"color": INK, "linewidth": 1.4} if solid else {"color": MIDDLE, "linewidth": 0.8, "linestyle": "--"}
        arrow = {
            "arrowstyle": "-|>",
            "shrinkA": 8,
            "shrinkB": 8,
            "connectionstyle": f"arc3,rad={BEND[between]}",
            **look,
        }
        axes.annotate("", (x1, y1), (x0, y0), arrowprops=arrow)
        if solid:
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
            x, y = x0 + 0.42 * (x1 - x0), y0 + 0.42 * (y1 - y0)
            axes.text(x, y, "\n".join(operations), ha="center", va="center", fontsize=6, bbox=box)
    for node, (x, y) in NODES.items():
        axes.plot([x], [y], marker="o", markersize=11, color="white", markeredgecolor=INK, markeredgewidth=0.8)
        axes.text(x, y, str(node), ha="center", va="center_baseline", fontsize=7)
    axes.set_xlim(-0.3, 3.3)
    axes.set_ylim(-1.15, 1.15)


def _chain(axes: Axes, elements: Sequence[str], kept: set[str]) -> None:
    """The blocks of a ResNet in a row, stages apart; a bar is as high as the share of its channels that is kept."""
    blocks = list(dict.fromkeys(name.partition("/")[0] for name in elements))
    x = 0.0
    for number, block in enumerate(blocks):
        stage = block.split(".")[1]
        x += 1.0 if number and stage == blocks[number - 1].split(".")[1] else 1.6
        groups = [name for name in elements if name.startswith(f"{block}/")]
        share = sum(name in kept for name in groups) / len(groups) if groups else 1.0
        stays = block not in elements or block in kept
        axes.bar([x], [1], width=0.7, facecolor="none", edgecolor=MIDDLE, linestyle="--", linewidth=0.8)
        if stays:
            axes.bar([x], [share], width=0.7, facecolor=PALE, edgecolor=INK, linewidth=1.2)
        axes.text(x, -0.06, block.removeprefix("stages."), ha="center", va="top", fontsize=6)
    axes.set_ylim(-0.25, 1.05)
