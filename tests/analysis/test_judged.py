"""What `analysis correlate` says: all of it in JSON too, backwards scores, and how many scored cells have a label."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from filled import fill

from bench.benchmarks import benchmark
from bench.plan import LABELLED, hint, select_of
from tests.conftest import Command

DIGITS = benchmark("digits")
CELLS = select_of(LABELLED, DIGITS)[:60]
SIZES = {cell: float(DIGITS.skeleton.count_parameters(DIGITS.space.at(cell))) for cell in CELLS}

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_resamples")]


def without_label(count: int) -> list[int]:
    labelled = set(select_of(LABELLED, DIGITS))
    return [cell for cell in select_of("all", DIGITS) if cell not in labelled][:count]


def test_json_holds_all_that_the_text_holds(tmp_path: Path, command: Command) -> None:
    scores: dict[int, float | None] = {cell: size**0.5 + cell % 7 * 20 for cell, size in SIZES.items()}
    scores[CELLS[0]] = None
    store = fill(tmp_path / "s.sqlite", "nwot", 0, scores)
    words = ("analysis", "correlate", "nwot", "--store", store, "--figures", tmp_path / "figures")
    text = command(*words).out
    first, params, flops = json.loads(command(*words, "--json").out)
    assert (first["proxy"], params["proxy"], flops["proxy"]) == ("nwot", "params", "flops")
    assert (first["n"], first["scored"], first["labelled"], first["failed"]) == (59, 59, 1000, 1)
    for number in ("kendall", "spearman", "pearson", "over_params", "given_params"):
        assert f"{first[number]:.3f}" in text
    for number in ("kendall", "spearman", "spearman_low", "spearman_high"):
        assert f"{first['failed_last'][number]:.3f}" in text
    for number in ("over_params_low", "over_params_high"):
        assert f"{first[number]:+.3f}" in text
    assert (f"{first['over_params_p']:.3f}" if first["over_params_p"] >= 0.001 else "< .001") in text
    for number in ("spearman", "kendall", "reliability", "ceiling"):
        assert f"{first['ceiling'][number]:.3f}" in text
    assert first["source"] in text
    assert f"figure: {first['figure']}" in text
    assert Path(first["figure"]).is_file()
    assert f"scores: {first['store']}" in text
    assert first["failed_last"]["pearson"] is None
    assert (params["over_params"], params["figure"], params["failed_last"]) == (None, None, None)


@pytest.mark.parametrize(("sign", "backwards"), [(1, False), (-1, True)], ids=["forwards", "backwards"])
def test_a_score_that_ranks_backwards_is_told_what_is_better(
    sign: int, backwards: bool, tmp_path: Path, command: Command
) -> None:
    store = fill(tmp_path / "s.sqlite", "nwot", 0, {cell: sign * size for cell, size in SIZES.items()})
    words = ("analysis", "correlate", "nwot", "--store", store, "--figures", tmp_path / "figures")
    assert (
        "note: nwot ranks backwards, and params does not: larger must be better" in command(*words).err
    ) == backwards
    assert json.loads(command(*words, "--json").out)[0]["backwards"] == backwards


def test_a_score_that_ranks_nothing_is_told(tmp_path: Path, command: Command) -> None:
    store = fill(tmp_path / "s.sqlite", "nwot", 0, dict.fromkeys(SIZES, 2.0))
    ended = command("analysis", "correlate", "nwot", "--store", store, "--figures", tmp_path / "figures")
    assert ended.code == 0
    assert "note: nwot gives all 60 cells the score 2, which ranks nothing" in ended.err


@pytest.mark.parametrize(("others", "few"), [(10, False), (700, True)], ids=["most", "few"])
def test_how_many_scored_cells_have_a_label(others: int, few: bool, tmp_path: Path, command: Command) -> None:
    scores = SIZES | {cell: 1.0 + cell for cell in without_label(others)}
    store = fill(tmp_path / "s.sqlite", "nwot", 0, scores)
    ended = command("analysis", "correlate", "nwot", "--store", store, "--figures", tmp_path / "figures")
    assert f"nwot: 60 of {60 + others} scored cells have a label" in ended.out
    assert ("`--cells labelled` scores those that have one" in ended.out) == few


def test_a_run_says_so_before_it_begins(command: Command) -> None:
    words = ("bench", "run", "params", "--workers", 1, "--limit")
    few = command(*words, 20).err.splitlines()[0]
    labelled = len({*select_of("all", DIGITS, 20)} & {*select_of(LABELLED, DIGITS)})
    assert few == f"{labelled} of 20 cells have a label; `--cells labelled` scores those that have one"
    assert command(*words, 20, "--cells", "labelled").err.splitlines()[0] == "20 of 20 cells have a label"
    other = command("bench", "run", "params", "--workers", 1, "--limit", 4, "--benchmark", "cifar100")
    assert "have a label" not in other.err


def test_where_all_labelled_cells_are_scored_no_other_cells_are_advised() -> None:
    assert hint(1000, 15625, all_of_them=True) == ""
    assert hint(999, 15625, all_of_them=False) != ""
