"""The correlation in a run's progress line: SciPy's numbers, an interval near the bootstrap's, and growing n."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.stats.correlation import spearman_interval
from analysis.stats.live import interval, live
from common import progress
from tests.conftest import Command


def drawn(n: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(n)
    labels = draw.normal(size=n)
    return labels, labels + noise * draw.normal(size=n)


def test_it_says_what_scipy_says_of_the_cells_with_both() -> None:
    labels, scores = drawn(200, 1.0)
    said = live(pd.Series(labels, range(200)))(
        {cell: score for cell, score in enumerate(scores) if cell % 2} | {999: 1.0}
    )
    rho = stats.spearmanr(labels[1::2], scores[1::2]).statistic
    assert said.startswith(f"Spearman {rho:.2f} (")
    assert said.endswith(", n = 100")


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.5, 1.0, 5.0])
def test_the_interval_is_nearly_that_of_the_bootstrap(noise: float) -> None:
    labels, scores = drawn(500, noise)
    found = interval(float(stats.spearmanr(labels, scores).statistic), 500)
    assert found == pytest.approx(spearman_interval(scores, labels, np.arange(500)), abs=0.03)


@pytest.mark.slow
def test_it_holds_the_truth_in_95_of_100_draws() -> None:
    rho, draw = 6 / math.pi * math.asin(0.6 / 2), np.random.default_rng(5)  # of normal variables with Pearson .6
    held = 0
    for _ in range(1000):
        pairs = draw.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=60)
        low, high = interval(float(stats.spearmanr(*pairs.T).statistic), 60)
        held += low <= rho <= high
    assert 930 <= held <= 970


def test_few_pairs_and_constant_scores_say_nothing() -> None:
    say = live(pd.Series(np.arange(30.0)))
    assert say({cell: float(cell) for cell in range(9)}) == ""
    assert say(dict.fromkeys(range(30), 1.0)) == ""
    assert say({cell: float(cell) for cell in range(30)}) == "Spearman 1.00 (1.00 to 1.00), n = 30"


@pytest.mark.slow
def test_a_run_tells_it_and_n_grows(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    monkeypatch.setattr(progress, "ASKED_EVERY", 0.0)
    monkeypatch.setattr(progress, "RARELY", 0)
    words = ("diswot_bench", "run", "params", "--cells", "labelled", "--workers", 1, "--limit")
    first = command(*words, 40)
    counts = [int(n) for n in re.findall(r"passes/s, .* Spearman \S+ \(\S+ to \S+\), n = (\d+)\n", first.err)]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1] == 40
    again = command(*words, 60)
    assert int(re.findall(r", n = (\d+)\n", again.err)[0]) > 40, "what was stored counts too"
