"""`analysis teachers`: rankings under different teachers, seed by seed, beside rankings of different seeds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Command
from scipy import stats

from analysis.studies.teachers import Study, compared, entries, published_scores, study
from bench.benchmarks import benchmark, with_teacher
from bench.identity import fingerprint, settings
from bench.published import export
from bench.store import Row, ScoreStore
from common.errors import BadInput
from proxies.registry import create
from spaces.nb201.sets import cell_set

pytestmark = pytest.mark.slow

DIGITS = benchmark("digits")
DISWOT = create("diswot")
CELLS = cell_set("functions")[:20]
Scores = Mapping[tuple[str, int], Sequence[float | None]]
"""By teacher and seed, in the order of `CELLS`."""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without accuracy tables."""
    monkeypatch.chdir(tmp_path)


def column(seed: int, noise: float = 0.0, of: int = 0) -> list[float]:
    """20 scores: those of draw `of`, disturbed."""
    truth = np.random.default_rng(of).normal(size=len(CELLS))
    return list(map(float, truth + noise * np.random.default_rng(100 + seed).normal(size=len(CELLS))))


def a_store(path: Path, scores: Scores, reason: str = "too wide") -> Path:
    store = ScoreStore(path)
    for (teacher, seed), values in scores.items():
        record = settings(DISWOT, with_teacher(DIGITS, teacher), f"batch {seed}")
        number = store.setting(fingerprint(record), "digits", DISWOT.label, record)
        run = store.start_run("now", {}, [(number, seed, "functions", len(values))])
        rows = zip(CELLS, values, strict=False)
        store.add(
            run,
            [
                Row(number, seed, cell, value, *(("not_applicable", reason) if value is None else ("ok", "")))
                for cell, value in rows
            ],
        )
    store.close()
    return path


def labels(folder: Path, values: Sequence[float]) -> str:
    file = folder / "labels.csv"
    file.write_text("cell,accuracy\n" + "\n".join(f"{c},{50 + 10 * v}" for c, v in zip(CELLS, values, strict=False)))
    return str(file)


def tau(a: Any, b: Any) -> float:
    return float(stats.kendalltau(a, b).statistic)


def rho(a: Any, b: Any) -> float:
    return float(stats.spearmanr(a, b).statistic)


TWO: Scores = {
    ("resnet56", 0): column(0, 0.5),
    ("resnet56", 1): column(1, 0.5),
    ("default", 0): column(2, 0.5),
    ("default", 1): column(3, 0.5),
    ("default", 2): column(4, 0.5),
}


def examine(path: Path, scores: Scores = TWO, against: str | None = None, **more: Any) -> Study:
    return study(a_store(path / "s.sqlite", scores), DIGITS, DISWOT, "functions", against, **more)


def test_teachers_are_compared_seed_by_seed_and_seeds_teacher_by_teacher(tmp_path: Path) -> None:
    found = examine(tmp_path, against=labels(tmp_path, column(9)))
    assert [each.teacher for each in found.teachers] == ["default", "resnet56"]
    assert [each.seeds for each in found.teachers] == [[0, 1, 2], [0, 1]]
    assert found.n == found.labelled == 20
    pairs = [(TWO["default", seed], TWO["resnet56", seed]) for seed in (0, 1)]
    for names in (("default", "resnet56"), ("resnet56", "default")):
        agreement = found.agreement[names]
        assert agreement.seeds == [0, 1]
        assert agreement.kendall == pytest.approx(np.mean([tau(*pair) for pair in pairs]))
        assert agreement.spearman == pytest.approx(np.mean([rho(*pair) for pair in pairs]))
    own, other = found.teachers
    draws = [TWO["default", seed] for seed in (0, 1, 2)]
    assert own.between_seeds is not None
    assert own.between_seeds.kendall == pytest.approx(
        np.mean([tau(draws[a], draws[b]) for a, b in ((0, 1), (0, 2), (1, 2))])
    )
    assert own.labels is not None
    means = [
        np.mean([TWO[name, seed] for seed in seeds], axis=0)
        for name, seeds in (("default", range(3)), ("resnet56", range(2)))
    ]
    assert own.labels.kendall == pytest.approx(tau(means[0], column(9)))
    assert own.gap is None
    assert other.gap is not None
    assert other.gap.difference == pytest.approx(rho(means[1], column(9)) - rho(means[0], column(9)))
    assert other.gap.low < other.gap.difference < other.gap.high
    assert other.between_seeds is not None
    assert other.between_seeds.kendall == pytest.approx(tau(TWO["resnet56", 0], TWO["resnet56", 1]))


def test_published_scores_give_the_study_of_the_store(tmp_path: Path) -> None:
    scores: Scores = {**TWO, ("trained", 0): [None] * 20}
    against = labels(tmp_path, column(9))
    stored = examine(tmp_path, scores, against)
    for teacher in ("default", "resnet56", "trained"):
        record = with_teacher(DIGITS, teacher).teacher.record()
        export(ScoreStore(tmp_path / "s.sqlite"), "digits", [DISWOT], tmp_path, record)
    assert compared(published_scores(tmp_path, DIGITS, DISWOT), DIGITS, DISWOT, "functions", against) == stored


def test_only_cells_with_a_score_under_every_teacher_and_seed_count(tmp_path: Path) -> None:
    scores = dict(TWO)
    scores["default", 1] = [*column(3, 0.5)[:15]]
    scores["resnet56", 0] = [None, *column(0, 0.5)[1:]]
    found = examine(tmp_path, scores, against=labels(tmp_path, column(9)[:10]))
    assert (found.n, found.labelled) == (14, 9)
    kept = slice(1, 15)
    assert found.agreement["default", "resnet56"].kendall == pytest.approx(
        np.mean([tau(scores["default", s][kept], scores["resnet56", s][kept]) for s in (0, 1)])
    )
    judged = found.teachers[0].labels
    assert judged is not None
    assert judged.n == 9


def test_a_teacher_under_which_nothing_has_a_score_is_told_with_its_reason(tmp_path: Path, command: Command) -> None:
    scores = {**TWO, ("trained", 0): [None] * 20}
    found = examine(tmp_path, scores)
    assert [each.teacher for each in found.teachers[:2]] == ["default", "resnet56"]
    last = found.teachers[-1]
    assert (last.teacher, last.reason) == ("trained-f011e277", "not_applicable: too wide")
    assert found.n == 20, "its cells are no reason to compare fewer"
    shown = command("analysis", "teachers", "diswot", "--store", "s.sqlite")
    assert shown.code == 0
    assert "No cell has a score under trained-f011e277 (not_applicable: too wide)." in shown.out


def test_a_teacher_that_ranks_alike_differs_by_nothing_and_one_that_ranks_in_reverse_by_twice_the_correlation(
    tmp_path: Path,
) -> None:
    scores = {
        ("default", 0): column(0),
        ("best", 0): [2 * v for v in column(0)],
        ("median", 0): [-v for v in column(0)],
    }
    found = examine(tmp_path, scores, against=labels(tmp_path, column(1, 0.3)))
    gaps = {each.teacher: each.gap for each in found.teachers}
    assert gaps["best"] is not None
    assert (gaps["best"].difference, gaps["best"].low, gaps["best"].high) == (0, 0, 0)
    assert gaps["median"] is not None
    assert gaps["median"].difference == pytest.approx(-2 * rho(column(0), column(1, 0.3)))
    assert found.agreement["default", "median"].kendall == pytest.approx(-1)


def test_teachers_without_a_seed_in_common_are_not_compared(tmp_path: Path, command: Command) -> None:
    found = examine(tmp_path, {("default", 0): column(0), ("best", 1): column(1)})
    agreement = found.agreement["default", "best"]
    assert agreement.seeds == []
    assert math.isnan(agreement.kendall)
    shown = command("analysis", "teachers", "diswot", "--store", "s.sqlite")
    assert shown.code == 0
    assert "run it with --seeds 0-2" in shown.out


def test_constant_scores_have_no_ranking(tmp_path: Path) -> None:
    found = examine(tmp_path, {("default", 0): column(0), ("best", 0): [0.5] * 20})
    assert math.isnan(found.agreement["default", "best"].kendall)
    assert entries(found)[0]["agreement"]["best"] == {"kendall": None, "spearman": None, "seeds": [0]}


def test_scores_of_another_version_are_left_out(tmp_path: Path) -> None:
    path = a_store(tmp_path / "s.sqlite", {("default", 0): column(0), ("best", 0): column(1)})
    store = ScoreStore(path)
    old = {**settings(DISWOT, with_teacher(DIGITS, "median"), "batch"), "version": -1}
    number = store.setting(fingerprint(old), "digits", "diswot", old)
    run = store.start_run("now", {}, [(number, 0, "all", 20)])
    store.add(run, [Row(number, 0, cell, 1.0, "ok", "") for cell in CELLS])
    store.close()
    found = study(path, DIGITS, DISWOT, "functions")
    assert [each.teacher for each in found.teachers] == ["default", "best"]


def test_json_is_one_array_with_an_entry_a_teacher(tmp_path: Path, command: Command) -> None:
    scores = {**TWO, ("trained", 0): [None] * 20}
    a_store(tmp_path / "s.sqlite", scores)
    labels(tmp_path, column(9))
    ended = command("analysis", "teachers", "diswot", "--store", "s.sqlite", "--against", "labels.csv", "--json")
    assert (ended.code, ended.err) == (0, "")
    found = json.loads(ended.out)
    assert [entry["teacher"] for entry in found] == ["default", "resnet56", "trained-f011e277"]
    for entry in found:
        assert set(entry) == {
            "proxy", "benchmark", "cells", "teacher", "seeds", "n", "reason", "against", "labelled", "kendall",
            "spearman", "spearman_low", "spearman_high", "gap", "between_seeds", "agreement",
        }  # fmt: skip
    own, other, failed = found
    assert (own["n"], own["labelled"], own["seeds"]) == (20, 20, [0, 1, 2])
    assert set(own["agreement"]) == {"resnet56"}
    assert own["agreement"]["resnet56"] == other["agreement"]["default"]
    assert -1 <= own["spearman_low"] <= own["spearman"] <= own["spearman_high"] <= 1
    assert (failed["n"], failed["kendall"], failed["between_seeds"], failed["agreement"]) == (
        0, None, {"kendall": None, "spearman": None}, {},
    )  # fmt: skip


def test_the_table_says_how_far_the_teacher_and_how_far_the_draw_moves_the_ranking(
    tmp_path: Path, command: Command
) -> None:
    found = examine(tmp_path)
    shown = command("analysis", "teachers", "diswot", "--store", "s.sqlite")
    moved, between = found.agreement["default", "resnet56"].kendall, found.teachers[0].between_seeds
    assert between is not None
    assert f"Another teacher than default, the same seed: Kendall {moved:.3f} to {moved:.3f}" in shown.out
    assert f"Teacher default, another seed: Kendall {between.kendall:.3f} (3 pairs)." in shown.out


def test_labels_are_optional(tmp_path: Path, command: Command) -> None:
    found = examine(tmp_path)
    assert found.against is None
    assert [each.labels for each in found.teachers] == [None, None]
    shown = command("analysis", "teachers", "diswot", "--store", "s.sqlite")
    assert "no table of distilled accuracies of digits" in shown.out
    two = labels(tmp_path, column(9)[:2])
    shown = command("analysis", "teachers", "diswot", "--store", "s.sqlite", "--against", two)
    assert shown.code == 0
    assert "only 2 of these cells have a label" in shown.out


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({}, r"with 0 of the two .*\(none\): run .*--teacher default --store .* and .*--teacher resnet56 "),
        ({("default", 0): column(0)}, r"\(default\): run `python -m bench run diswot --benchmark digits .* resnet56 "),
        ({("resnet56", 0): column(0)}, r"\(resnet56\): run .*--teacher default "),
        (
            {("default", 0): column(0), ("resnet56", 0): [None] * 20},
            r"with resnet56 none has a score \(not_applicable: too wide\): run .*--teacher best ",
        ),
    ],
)
def test_with_fewer_than_two_teachers_one_line_says_what_to_run(
    tmp_path: Path, command: Command, scores: Scores, message: str
) -> None:
    a_store(tmp_path / "s.sqlite", scores)
    with pytest.raises(BadInput, match=message):
        study(tmp_path / "s.sqlite", DIGITS, DISWOT, "functions")
    ended = command("analysis", "teachers", "diswot", "--store", "s.sqlite")
    assert ended.code == 1
    assert ended.error


def test_the_line_that_says_what_to_run_runs(tmp_path: Path, command: Command) -> None:
    for _ in range(2):
        ended = command("analysis", "teachers", "diswot_relation", "--store", "s.sqlite")
        if ended.code == 0:
            break
        for words in ended.error.split("`")[1::2] if "no store" not in ended.error else _FIRST:
            more = ("--cells", "functions", "--limit", 4, "--workers", 1)
            assert command("bench", *words.removeprefix("python -m bench ").split(), *more).code == 0
    ended = command("analysis", "teachers", "diswot_relation", "--store", "s.sqlite")
    assert ended.code == 0
    assert "with 2 teachers; cell set 'functions', 4 cells" in ended.out


_FIRST = ("run diswot_relation --store s.sqlite",)


def test_too_few_cells_in_common_are_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="in only 2 cells of the set 'functions': score the same cells with each"):
        examine(tmp_path, {("default", 0): column(0)[:2], ("best", 0): column(1)})


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["diswott"], 2, "did you mean 'diswot'"),
        (["nwot"], 2, "nwot does not read the teacher"),
        (["diswot", "--benchmark", "digit"], 2, "did you mean 'digits'"),
        (["diswot", "--cells", "function"], 2, "neither a cell set"),
        (["diswot", "--against", "nothing"], 2, "nor a file"),
        (["diswot", "--store", "none.sqlite"], 1, "no store at none.sqlite"),
    ],
)
def test_wrong_words_end_with_one_line(
    tmp_path: Path, command: Command, words: list[str], code: int, message: str
) -> None:
    a_store(tmp_path / "results" / "store" / "scores.sqlite", TWO)
    ended = command("analysis", "teachers", *words)
    assert ended.code == code
    assert message in ended.error
