"""What a ranking that learns is worth for its cost, beside proxies, which cost their scores alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style import ACCENT, INK, MARKERS, MIDDLE, PAGE, PALE, canvas, legend_below, save, styled
from analysis.read.columns import BASELINE
from analysis.studies.learned.draws import CHOICES
from analysis.studies.learned.features import FEATURES
from analysis.studies.learned.files import FOLDER, read
from analysis.studies.learned.study import SPREAD, Learned
from common import results

OUTPUT = results.FIGURES
METRICS = {"spearman": "Spearman's correlation", "regret1": "regret@1, points", "regret10": "regret@10, points"}
SHADES = (MIDDLE, INK, ACCENT, INK)
LINES = (":", "--", "-.", "-")
LEAST = 1.0
"""Seconds: what is cheaper is drawn at."""


def draw_all(benchmark: str, folder: Path = FOLDER, output: Path = OUTPUT) -> list[Path]:
    """Draw `<benchmark>-distilled-learning.{svg,png}` of a study, if there is one. Raises BadInput."""
    found = read(benchmark, folder)
    if found is None:
        return []
    with styled():
        return save(draw(found), output / f"{benchmark}-distilled-learning")


def draw(found: Learned) -> Figure:
    """Draw a panel a metric: a line for what each kind of features teaches the learner, level lines for proxies."""
    made, rows = found.made, found.rows
    priced = bool(rows["score_seconds"].max() > 0)
    title = (
        f"{made['benchmark']}, distilled accuracy: {SPREAD[0]} on k of {made['labelled']:,} labelled functions, "
        f"mean of {made['draws']} draws"
    )
    figure = canvas(PAGE, 3.2, title)
    panels = figure.subplots(1, len(METRICS))
    proxies, learned = rows[rows["k"] == 0], rows[rows["k"] > 0]
    last = (learned["score_seconds"].fillna(0) + learned["label_seconds"]).max() * 1.3
    for axes, (metric, name) in zip(panels, METRICS.items(), strict=True):
        _levels(axes, proxies, metric, last, made["best"])
        for features, shade, line, marker in zip(FEATURES, SHADES, LINES, MARKERS, strict=False):
            chosen = (learned["ranking"] == SPREAD[0]) & (learned["features"] == features)
            _curve(axes, learned[chosen & (learned["choice"] == CHOICES[0])], metric, features, shade, line, marker)
        axes.set_xscale("log")
        axes.set_title(name)
        axes.set_xlim(left=LEAST if priced else None, right=last)
    panels[0].set_ylim(bottom=max(0.0, learned["spearman"].min() - 0.05), top=1)
    for axes, metric in zip(panels[1:], list(METRICS)[1:], strict=True):
        axes.set_ylim(0, 1.15 * max(learned[metric].quantile(0.95), *proxies[proxies["ranking"] == BASELINE][metric]))
    what = f"scores of {made['functions']:,} functions and k labels" if priced else "k labels (scores: not measured)"
    panels[1].set_xlabel(f"seconds of one thread: {what}")
    legend_below(figure, panels[0], 4)
    return figure


def _levels(axes: Axes, proxies: pd.DataFrame, metric: str, last: float, best: str) -> None:
    """A line a proxy, from what it costs on."""
    for number, row in enumerate(proxies.to_dict("records")):
        start = LEAST if np.isnan(row["score_seconds"]) else max(row["score_seconds"], LEAST)
        name = {best: f"{best}, the best proxy", BASELINE: BASELINE}.get(row["ranking"], "other proxies")
        shade = {best: INK, BASELINE: ACCENT}.get(row["ranking"], PALE)
        width = 0.4 if shade == PALE else 1.0
        label = None if name == "other proxies" and number != len(proxies) - 1 else name
        axes.plot([start, last], [row[metric]] * 2, color=shade, linewidth=width, label=label, zorder=1 + (width > 0.4))


def _curve(axes: Axes, rows: pd.DataFrame, metric: str, name: str, shade: str, line: str, marker: str) -> None:
    """The means, with 95 % of the correlation; a ring where the line first passes the best proxy, and the k of it."""
    cost = (rows["score_seconds"].fillna(0) + rows["label_seconds"]).to_numpy()
    values = rows[metric].to_numpy()
    ahead = np.flatnonzero(rows["over_best"].to_numpy() > 0)[:1]
    label = f"{name}, ahead at k = {rows['k'].iloc[ahead[0]]}" if len(ahead) else name
    axes.plot(cost, values, color=shade, linestyle=line, marker=marker, markersize=3, label=label, zorder=4)
    if metric == "spearman":
        axes.fill_between(cost, rows[f"{metric}_low"], rows[f"{metric}_high"], color=shade, alpha=0.08, linewidth=0)
        axes.plot(cost[ahead], values[ahead], "o", markersize=8, markerfacecolor="none", markeredgecolor=INK, zorder=5)
