"""Vanilla, distilled and gain side by side: SciPy's numbers, on the same cells."""

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
from analysis.stats import reliability as reliabilities
from analysis.stats.comparison import holm
from analysis.studies.labels.kinds import Kinds, kinds
from analysis.tables import label_kinds as tables
from bench.benchmarks import benchmark
from common.errors import BadInput
from spaces.nb201.sets import cell_set
from spaces.nb201.space import NB201

pytestmark = pytest.mark.slow

CELLS = list(cell_set("functions")[:80])
rng = np.random.default_rng
ALONE = pd.Series(rng(0).normal(70, 5, 80), CELLS)
ADDED = pd.Series(rng(1).normal(0, 5, 80), CELLS)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 200)


def labels(missing: int = 0) -> dict[str, Labels]:
    """`missing` cells have no vanilla accuracy."""
    series = {"vanilla": ALONE[missing:], "distilled": ALONE + ADDED, "gain": ADDED}
    return {kind: Labels(kind, of.to_frame(0), True, "made up", NB201) for kind, of in series.items()}


SCORES = {
    "nwot": {0: dict((ALONE + rng(2).normal(0, 1, 80)).items())},  # knows what a network learns alone
    "snip": {0: dict((ADDED + rng(3).normal(0, 1, 80)).items())},  # knows what the teacher adds
}


def judged(folder: Path, missing: int = 0) -> dict[str, Kinds]:
    found = kinds(publish_scores(folder, SCORES), benchmark("digits"), labels(missing), "functions")
    assert [one.with_labels["distilled"].spearman for one in found] == sorted(
        (one.with_labels["distilled"].spearman for one in found), reverse=True
    )
    return {one.proxy: one for one in found}


def test_numbers_are_scipys_on_cells_that_have_all_labels(tmp_path: Path) -> None:
    found = judged(tmp_path, missing=7)
    assert set(found) == {"nwot", "snip", "params", "flops"}
    for name in SCORES:
        score = pd.Series(SCORES[name][0])[CELLS[7:]]
        expected = {
            kind: stats.spearmanr(score, of[CELLS[7:]]).statistic
            for kind, of in (("vanilla", ALONE), ("distilled", ALONE + ADDED), ("gain", ADDED))
        }
        one = found[name]
        assert {kind: each.spearman for kind, each in one.with_labels.items()} == pytest.approx(expected)
        assert all(each.low < each.spearman < each.high for each in one.with_labels.values())
        assert one.over_vanilla.difference == pytest.approx(expected["distilled"] - expected["vanilla"])
        assert one.over_vanilla.n == 73


def test_who_knows_the_network_loses_by_distillation_and_who_knows_the_teacher_wins(tmp_path: Path) -> None:
    found = judged(tmp_path)
    assert found["nwot"].over_vanilla.high < 0 < found["snip"].over_vanilla.low
    corrected = holm(np.array([one.over_vanilla.p_value for one in found.values()]))
    assert [one.over_vanilla.p_holm for one in found.values()] == pytest.approx(corrected)
    assert found["snip"].over_vanilla.p_holm < 0.05 <= found["params"].over_vanilla.p_holm


def test_the_interval_of_the_difference_is_paired(tmp_path: Path) -> None:
    """Narrower than the intervals of its sides allow: both labels share what the network learns alone."""
    one = judged(tmp_path)["nwot"]
    draws = rng(bootstrap.BOOTSTRAP_SEED)
    differences = []
    ordered = [cell for cell in sorted(CELLS)]
    score = pd.Series(SCORES["nwot"][0])
    for _ in range(bootstrap.RESAMPLES):
        drawn = [ordered[k] for k in draws.integers(80, size=80)]
        a, b = (stats.spearmanr(score[drawn], of[drawn]).statistic for of in (ALONE + ADDED, ALONE))
        differences.append(a - b)
    expected = np.quantile(differences, [0.025, 0.975])
    assert [one.over_vanilla.low, one.over_vanilla.high] == pytest.approx(expected)


def test_the_table_says_them_and_the_ceilings(tmp_path: Path) -> None:
    found = list(judged(tmp_path).values())
    given = labels()
    seeds = pd.DataFrame({seed: ALONE + rng(seed).normal(0, 3, 80) for seed in range(3)})
    given["vanilla"] = Labels("vanilla", seeds, True, "made up", NB201)
    ceiling = reliabilities.reliability(seeds)
    assert ceiling is not None
    csv, page, paper = tables.table(tables.frame(found), given, "digits").write(tmp_path / "kinds-digits")
    frame = pd.read_csv(csv).set_index("proxy")
    one = found[0].with_labels["gain"]
    assert list(frame.loc[found[0].proxy, ["gain", "gain_low", "gain_high"]]) == pytest.approx(list(one), abs=1e-4)
    text = page.read_text()
    assert f"reach: vanilla {ceiling.ceiling:.2f}. " in text
    assert f"| {one.spearman:.2f} [{one.low:.2f}, {one.high:.2f}] |" in text
    starred = [line for line in text.splitlines() if "* |" in line]
    assert len(starred) == sum(each.over_vanilla.p_holm < 0.05 for each in found) >= 2
    assert r"\toprule" in paper.read_text()


def test_a_proxy_without_enough_scores_is_bad_input(tmp_path: Path) -> None:
    folder = publish_scores(tmp_path, {"nwot": {0: {cell: 1.0 * cell for cell in CELLS[:2]}}})
    with pytest.raises(BadInput, match="nwot: only 2 cells"):
        kinds(folder, benchmark("digits"), labels(), "functions")


def test_a_constant_score_ranks_nothing_and_stands_last(tmp_path: Path) -> None:
    folder = publish_scores(tmp_path, {"nwot": {0: dict.fromkeys(CELLS, 1.0)}})
    found = kinds(folder, benchmark("digits"), labels(), "functions")
    assert found[-1].proxy == "nwot"
    assert math.isnan(found[-1].with_labels["gain"].spearman)
    assert "| nwot | – | – | – | – | 80 |" in tables.table(tables.frame(found), labels(), "x").typeset().markdown()
