"""All proxies by their correlation with the labels: the leaderboard as a picture."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from analysis.figures.study import Study
from analysis.figures.style import ACCENT, COLUMN, INK, PALE, canvas, legend_below
from analysis.read.columns import BASELINE

ROW = 0.135
"""Inches a proxy: a line of 7 points and what keeps it from the next."""


def draw(study: Study) -> Figure:
    """Draw a dot and its 95 % interval a proxy, best on top; counting parameters is the line to beat."""
    names = list(study.results)
    found = [study.results[name].correlation for name in names]
    spearman = np.array([each.spearman for each in found])
    low, high = (np.array([getattr(each, f"spearman_{end}") for each in found]) for end in ("low", "high"))
    rows = np.arange(len(names))
    figure = canvas(
        COLUMN,
        ROW * len(names) + 1.25,
        f"{study.benchmark}, {study.kind}\n{study.n:,} labelled cells of '{study.which}'",
    )
    axes = figure.subplots()
    baseline = names.index(BASELINE) if BASELINE in names else None
    if baseline is not None:
        axes.axvspan(low[baseline], high[baseline], color=PALE, alpha=0.4, linewidth=0)
        axes.axvline(spearman[baseline], color=ACCENT, linestyle="--", label=f"{BASELINE}, the line to beat")
    if study.ceiling is not None:
        axes.axvline(study.ceiling, color=INK, linestyle=":", label="ceiling of the labels")
    axes.hlines(rows, low, high, color=INK, linewidth=0.9)
    fills = ["white" if name == BASELINE else INK for name in names]
    axes.scatter(spearman, rows, s=14, facecolors=fills, edgecolors=INK, linewidths=0.9, zorder=3)
    for row in rows[np.isnan(spearman)]:
        axes.text(0.02, row, "constant", transform=axes.get_yaxis_transform(), fontsize=7, va="center")
    axes.set_yticks(rows, names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("Spearman's correlation, 95 % interval")
    legend_below(figure, axes, 2)
    return figure
