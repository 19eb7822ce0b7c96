"""The numbers behind the scatter plots, as the page's script reads them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.figures.scores import extent
from analysis.read.columns import label_cells
from analysis.read.labels import Labels
from analysis.read.scores import judged_columns, published
from analysis.report.own import Own
from bench.benchmarks import Benchmark
from spaces.nb201.cell import cell_at

DIGITS = 5
"""Significant digits of a score: more than a screen shows."""


def points(
    folder: Path, setting: Benchmark, labels: dict[str, Labels], which: str, own: Own | None = None
) -> dict[str, Any]:
    """Scores and labels of the labelled cells of a set, column by column; null where there is none.

    `operations` are six digits a cell, in the order of the official string; `range` is what of a score's axis is
    shown, as in the figures; `own` marks the user's.
    """
    means = {kind: label_cells(each, which) for kind, each in labels.items()}
    cells = sorted({int(cell) for mean in means.values() for cell in mean.index})
    columns = own.columns(which) if own else judged_columns(published(folder, setting.name), setting, which)
    mine = own.names if own else frozenset()
    return {
        "cells": cells,
        "operations": ["".join(map(str, cell_at(cell).operations)) for cell in cells],
        "labels": {
            kind: {
                "quantity": each.quantity,
                "mean": _rounded(means[kind].reindex(cells), 3),
                "seeds": {str(seed): _rounded(column.reindex(cells), 2) for seed, column in each.by_seed.items()},
            }
            for kind, each in labels.items()
        },
        "proxies": {
            name: _proxy(columns[name].reindex(cells)) | ({"own": True} if name in mine else {})
            for name in sorted(columns)
        },
    }


def _proxy(scores: pd.Series) -> dict[str, Any]:
    known = scores.dropna().to_numpy()
    scale, (low, high) = extent(known) if len(known) else ("linear", (0.0, 1.0))
    return {
        "scores": [None if math.isnan(score) else _significant(score) for score in scores],
        "scale": scale,
        "range": [_significant(low), _significant(high)],
        "beyond": int(np.sum((known < low) | (known > high))),
    }


def _significant(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _rounded(column: pd.Series, digits: int) -> list[float | None]:
    return [None if math.isnan(value) else round(float(value), digits) for value in column]
