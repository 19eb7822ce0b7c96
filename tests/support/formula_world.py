"""What the tests of formulas share: a few labelled functions with made-up statistics, of which one tells the label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from small_results import CELLS, accuracies, small_results

from bench.benchmarks import benchmark
from search.formula.names import OF_ONE, POSITIONS, STUDENT
from search.formula.store import FormulaStore
from search.formula.sweep import identity

STORE = Path("results/store/formulas.sqlite")
TOLD = "both.cka"
"""The statistic that follows the labels, at every position, with noise."""


def formula_world(folder: Path, seeds: Sequence[int] = (0, 1), cells: Sequence[int] = CELLS) -> Path:
    """`digits` with labels, scores and statistics of 30 functions; returns the store."""
    small_results(folder / "results")
    recorded(folder / STORE, seeds, cells)
    return folder / STORE


def recorded(path: Path, seeds: Sequence[int], cells: Sequence[int] = CELLS, noise: float = 1.0) -> None:
    """Statistics as a sweep of `digits` keeps them."""
    store, setting = FormulaStore(path), benchmark("digits")
    truth = accuracies()["distilled"].mean(axis=1)
    for seed in seeds:
        draw = np.random.default_rng(seed)
        number = store.start_sweep(
            "digits", seed, identity(setting, f"{seed}" * 64), draw.normal(1, 1, (len(OF_ONE), len(POSITIONS)))
        )
        rows = []
        for cell in cells:
            numbers = draw.normal(1, 1, (len(STUDENT), len(POSITIONS)))
            numbers[STUDENT.index(TOLD)] = truth[cell] + draw.normal(0, noise, len(POSITIONS))
            rows.append((cell, numbers))
        store.add(number, rows)
    store.close()
