"""Scores of another benchmark against the labels of one: SciPy's numbers on the seeds and functions that both have."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted import publish_scores
from scipy import stats

from analysis.read.labels import Labels
from analysis.stats import bootstrap
from analysis.stats.comparison import holm
from analysis.studies.labels.transfer import LEAST, Transfer, transfers
from analysis.tables import transfer as tables
from bench.benchmarks import benchmark
from spaces.nb201.sets import cell_set
from spaces.nb201.space import NB201

pytestmark = pytest.mark.slow

CELLS = list(cell_set("functions")[:80])
FAR = list(cell_set("functions")[80:200])
rng = np.random.default_rng
LABEL = pd.Series(rng(0).normal(70, 5, 80), CELLS)
Column = dict[int, float | None]


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 200)


def noisy(seed: int, noise: float) -> Column:
    return dict((LABEL + rng(seed).normal(0, noise, 80)).items())


OWN: dict[str, dict[int, Column]] = {
    "nwot": {0: noisy(1, 1), 1: noisy(2, 1), 2: noisy(3, 1)},
    "snip": {0: noisy(4, 30)},
    "diswot": {0: noisy(5, 5)},
}
ELSEWHERE: dict[str, dict[int, Column]] = {
    "nwot": {0: noisy(6, 20), 1: noisy(7, 20), 5: noisy(8, 20)},
    "snip": {0: noisy(9, 1)},
    "diswot": {9: noisy(10, 5)},  # no seed of the other's
    "synflow": {0: noisy(11, 5)},  # not scored here
}


def found(folder: Path, elsewhere: dict[str, dict[int, Column]], name: str = "cifar10") -> list[Transfer]:
    publish_scores(folder, OWN)
    publish_scores(folder, elsewhere, benchmark=name)
    labels = Labels("distilled", LABEL.to_frame(0), True, "made up", NB201)
    return transfers(folder, benchmark("digits"), labels, "functions")


def test_numbers_are_scipys_on_common_seeds_and_functions(tmp_path: Path) -> None:
    elsewhere = {**ELSEWHERE, "nwot": {**ELSEWHERE["nwot"], 0: {**noisy(6, 20), CELLS[3]: None}}}
    nwot, snip = found(tmp_path, elsewhere)
    assert [(one.proxy, one.scores_of, one.seeds, one.over.n) for one in (nwot, snip)] == [
        ("nwot", "cifar10", 2, 79),
        ("snip", "cifar10", 1, 80),
    ]
    label = LABEL.drop(CELLS[3])
    own = (pd.Series(noisy(1, 1)) + pd.Series(noisy(2, 1)))[label.index]
    other = (pd.Series(noisy(6, 20)) + pd.Series(noisy(7, 20)))[label.index]
    assert nwot.own == pytest.approx(stats.spearmanr(own, label).statistic, abs=1e-12)
    assert nwot.other == pytest.approx(stats.spearmanr(other, label).statistic, abs=1e-12)
    assert nwot.over.difference == pytest.approx(nwot.other - nwot.own, abs=1e-12)
    assert nwot.over.low < nwot.over.difference < nwot.over.high < 0, "noise has been added"
    assert snip.over.low > 0, "noise has been taken away"
    both = np.array([nwot.over.p_value, snip.over.p_value])
    assert [nwot.over.p_holm, snip.over.p_holm] == pytest.approx(list(holm(both)), rel=1e-9)


def test_another_space_and_few_functions_are_not_compared(tmp_path: Path) -> None:
    few: Column = dict(list(noisy(6, 1).items())[: LEAST - 1])
    assert found(tmp_path, {"nwot": {0: few}}) == []
    unlabelled: Column = dict.fromkeys(FAR, 1.0)
    assert found(tmp_path / "far", {"nwot": {0: unlabelled}}) == []
    assert found(tmp_path / "other", {"nwot": {0: {0: 1.0, 1: 2.0}}}, "resnet-cifar100") == []


def test_a_score_that_is_everywhere_the_same_has_no_correlation(tmp_path: Path) -> None:
    (one,) = found(tmp_path, {"nwot": {0: dict.fromkeys(CELLS, 1.0)}})
    assert math.isnan(one.other)


def test_the_table_reads_as_what_was_found(tmp_path: Path) -> None:
    each = found(tmp_path, ELSEWHERE)
    csv, page, _ = tables.table(tables.frame(each), "digits").write(tmp_path / "transfer-digits")
    assert pd.read_csv(csv)["other"].to_list() == pytest.approx([one.other for one in each], abs=5e-5)
    line = next(line for line in page.read_text().splitlines() if line.startswith("| cifar10 | snip |"))
    assert f"| {each[1].other:.2f} | " in line
    assert line.endswith("* | 80 | 1 |")
