"""The table of teachers says what the study of the same scores says, whichever way they were kept."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted import publish_scores
from scipy import stats

from analysis.stats import bootstrap
from analysis.stats.comparison import holm
from analysis.tables import teachers as tables
from analysis.tables.teachers import Row, rows, studies
from bench.benchmarks import benchmark
from spaces.nb201.sets import cell_set

CELLS = list(cell_set("functions")[:40])
DIGITS = benchmark("digits")
rng = np.random.default_rng
TRUTH = rng(0).normal(size=40)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 200)


def column(seed: int, sign: float = 1.0) -> dict[int, float | None]:
    values = sign * TRUTH + 0.5 * rng(seed).normal(size=40)
    return {int(cell): float(value) for cell, value in zip(CELLS, values, strict=True)}


SCORES = {
    "diswot": {0: column(1), 1: column(2)},
    "diswot@best": {0: column(3), 1: column(4)},
    "diswot@2201": {0: column(5, -1), 1: column(6, -1)},
    "diswot@trained-f011e277": {0: dict.fromkeys(CELLS)},
    "kd": {0: column(7)},
    "kd@best": {0: column(8)},
    "kd:init=kaiming": {0: column(9)},
    "nwot": {0: column(10)},
    "fitnet@best": {0: column(11)},
}


def table(folder: Path) -> list[Row]:
    file = folder / "labels.csv"
    file.write_text("cell,accuracy\n" + "\n".join(f"{c},{50 + 10 * v}" for c, v in zip(CELLS, TRUTH, strict=True)))
    return rows(studies(DIGITS, str(file), "functions", publish_scores(folder, SCORES)))


def values(name: str, seed: int) -> list[float]:
    return [float(value) for value in SCORES[name][seed].values() if value is not None]


def tau(a: list[float], b: list[float]) -> float:
    return float(stats.kendalltau(a, b).statistic)


def rho(name: str) -> float:
    return float(stats.spearmanr(np.mean([values(name, seed) for seed in SCORES[name]], axis=0), TRUTH).statistic)


@pytest.mark.slow
def test_rows_are_the_proxies_that_have_two_teachers(tmp_path: Path) -> None:
    assert [(row.proxy, row.teacher) for row in table(tmp_path)] == [
        ("diswot", "default"), ("diswot", "best"), ("diswot", "2201"), ("diswot", "trained-f011e277"),
        ("kd", "default"), ("kd", "best"),
    ]  # fmt: skip


@pytest.mark.slow
def test_numbers_are_scipys(tmp_path: Path) -> None:
    own, best, reverse, trained, *_ = table(tmp_path)
    assert [row.spearman for row in (own, best, reverse)] == pytest.approx(
        [rho(name) for name in ("diswot", "diswot@best", "diswot@2201")]
    )
    assert best.over_default == pytest.approx(rho("diswot@best") - rho("diswot"))
    assert best.over_default_low < best.over_default < best.over_default_high
    moved = [tau(values("diswot", seed), values("diswot@best", seed)) for seed in (0, 1)]
    assert best.moved == pytest.approx(np.mean(moved))
    assert best.draw == pytest.approx(tau(values("diswot@best", 0), values("diswot@best", 1)))
    assert own.draw == pytest.approx(tau(values("diswot", 0), values("diswot", 1)))
    assert (own.labelled, own.n, own.seeds) == (40, 40, 2)
    assert math.isnan(own.over_default)
    assert math.isnan(own.moved)
    assert (trained.n, trained.reason) == (0, "not_applicable: too wide")
    assert all(math.isnan(value) for value in (trained.spearman, trained.moved, trained.draw, trained.over_default))


@pytest.mark.slow
def test_p_values_are_corrected_over_all_proxies_and_a_reversed_ranking_differs(tmp_path: Path) -> None:
    found = table(tmp_path)
    single = [
        each.gap.p_value if each.gap else math.nan
        for study in studies(DIGITS, str(tmp_path / "labels.csv"), "functions", tmp_path)
        for each in study.teachers
    ]
    assert [row.over_default_p for row in found] == pytest.approx(holm(np.array(single)), nan_ok=True)
    assert found[2].over_default_p < 0.05
    paths = tables.table(tables.frame(found), "digits").write(tmp_path / "teachers-digits")
    lines = paths[1].read_text().splitlines()
    assert [line.count("*") for line in lines[4:]] == [int(row.over_default_p < 0.05) for row in found]
    assert lines[7] == "| diswot | trained-f011e277 | – | – | – | – | – | 0 | 0 | 0 |"
    assert pd.read_csv(paths[0])["spearman"].to_list() == pytest.approx(
        [row.spearman for row in found], abs=1e-4, nan_ok=True
    )


def test_without_teachers_there_is_no_study(tmp_path: Path) -> None:
    folder = publish_scores(tmp_path, {"diswot": {0: column(1)}, "kd:init=kaiming": {0: column(2)}})
    assert studies(DIGITS, "none", "functions", folder) == []
