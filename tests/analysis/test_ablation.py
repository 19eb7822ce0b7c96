"""The ablation's numbers are SciPy's, on the cells of all rows, and the paper's stand beside what they are of."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted import publish_scores
from scipy import stats

from analysis.read.labels import Labels
from analysis.read.reported import DISWOT_ABLATION
from analysis.stats import bootstrap
from analysis.studies.ablation import Row, ablation
from analysis.tables import ablation as tables
from bench.benchmarks import benchmark
from spaces.nb201.sets import cell_set
from spaces.nb201.space import NB201

CELLS = list(cell_set("functions")[:30])
rng = np.random.default_rng
TRUTH = pd.Series(rng(0).normal(70, 5, 30), CELLS)
LABELS = Labels("distilled accuracy, %", TRUTH.to_frame(0), True, "made up", NB201)
DIGITS = benchmark("digits")
PAPER = "diswot_semantic:variant=paper"


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 100)


def noisy(seed: int) -> dict[int, float | None]:
    return {int(cell): float(value) for cell, value in (TRUTH + rng(seed).normal(0, 5, 30)).items()}


def table(folder: Path, scores: dict[str, dict[int, dict[int, float | None]]]) -> dict[str, Row]:
    return {row.proxy: row for row in ablation(publish_scores(folder, scores), DIGITS, LABELS, "functions")}


def test_the_mean_over_seeds_and_the_seeds_one_by_one(tmp_path: Path) -> None:
    seeds = {seed: noisy(seed) for seed in (1, 2, 3)}
    row = table(tmp_path, {PAPER: seeds})[PAPER]
    frame = pd.DataFrame(seeds).astype(float).loc[CELLS]
    single = [stats.spearmanr(frame[seed], TRUTH).statistic for seed in seeds]
    assert row.spearman == pytest.approx(stats.spearmanr(frame.mean(axis=1), TRUTH).statistic)
    assert row.low < row.spearman < row.high
    assert (row.seeds_mean, row.seeds_sd) == (
        pytest.approx(sum(single) / 3),
        pytest.approx(math.sqrt(sum((one - sum(single) / 3) ** 2 for one in single) / 2)),
    )
    assert (row.term, row.distance, row.init) == ("M_s", "matrix, paper", "default")
    assert (row.reported, row.reported_spread) == (0.7368, 0.0545)
    assert (row.seeds, row.n, row.failed) == (3, 30, 0)


@pytest.mark.slow
def test_all_rows_are_of_the_cells_that_all_rows_score(tmp_path: Path) -> None:
    gap = noisy(4) | {CELLS[0]: None, CELLS[1]: None}
    fewer = {cell: value for cell, value in noisy(5).items() if cell in CELLS[:20]}
    found = table(tmp_path, {PAPER: {0: gap}, "fitnet": {0: fewer}, "rkd": {0: noisy(6)}})
    assert [(row.n, row.failed) for row in found.values()] == [(18, 0), (18, 2), (18, 0)]
    kept = CELLS[2:20]
    expected = stats.spearmanr([noisy(6)[cell] for cell in kept], TRUTH[kept]).statistic
    assert found["rkd"].spearman == pytest.approx(expected)


@pytest.mark.slow
def test_rows_come_by_term_and_distance_and_released_has_one_initialisation(tmp_path: Path) -> None:
    names = [*DISWOT_ABLATION, "diswot", "diswot:init=gaussian:variant=released", "rkd:init=gaussian", "nwot"]
    found = table(tmp_path, {name: {0: noisy(n)} for n, name in enumerate(names)})
    assert "nwot" not in found
    assert [row.term for row in found.values()] == ["M_s"] * 4 + ["M_r"] * 5 + ["M_s + M_r"] * 5
    released = found["diswot:init=gaussian:variant=released"]
    assert (released.distance, released.init) == ("matrix, released", "gaussian")
    assert math.isnan(released.reported)


@pytest.mark.slow
def test_every_number_of_the_paper_has_a_row(tmp_path: Path) -> None:
    found = table(tmp_path, {name: {0: noisy(n)} for n, name in enumerate(DISWOT_ABLATION)})
    assert found.keys() == DISWOT_ABLATION.keys()
    assert {name: row.reported for name, row in found.items()} == {n: r.spearman for n, r in DISWOT_ABLATION.items()}


def test_without_a_variant_there_is_no_ablation(tmp_path: Path) -> None:
    folder = publish_scores(tmp_path, {"diswot": {0: noisy(0)}, "fitnet": {0: noisy(1)}, "diswot@best": {0: noisy(2)}})
    assert ablation(folder, DIGITS, LABELS, "functions") == []


@pytest.mark.slow
def test_the_table_says_reported_and_measured_apart(tmp_path: Path) -> None:
    found = list(table(tmp_path, {"fitnet": {0: noisy(0), 1: noisy(1)}, PAPER: {0: noisy(2)}}).values())
    paths = tables.table(tables.frame(found), "digits").write(tmp_path / "ablation-digits")
    assert [path.name for path in paths] == ["ablation-digits.csv", "ablation-digits.md", "ablation-digits.tex"]
    text = paths[1].read_text()
    first, second = found
    assert "another space, other data and other labels" in text
    assert f"| M_s | FitNet | default | 0.64 ± 0.06 | {first.spearman:.2f} |" in text
    assert f"| {second.seeds_mean:.2f} | 30 | 0 |" in text, "one seed has no deviation"
    assert pd.read_csv(paths[0])["spearman"].to_list() == pytest.approx([row.spearman for row in found], abs=1e-4)
    assert r"0.64 $\pm$ 0.06" in paths[2].read_text()
