"""What README.md and docs/results.md state is what the committed tables and the tree say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from analysis.pages import label_card, performance
from analysis.pages import results as results_page
from analysis.pages.readme import LEADERBOARD, PAGE, block, page, whole_page
from analysis.pages.results import FIGURES
from common.errors import BadInput
from distill.tables import read_table, table_path

ROOT = Path(__file__).parents[2]
BEGIN, END = LEADERBOARD
TEXT = f"# Title\n\n{BEGIN}\nof yesterday\n{END}\n\nafter\n"


def row(proxy: str, spearman: float, over: float | None, p: float | None, **others: object) -> dict[str, object]:
    return {
        "proxy": proxy, "spearman": spearman, "spearman_low": spearman - 0.1, "spearman_high": spearman + 0.1,
        "kendall": spearman / 2, "over_params": over, "over_params_low": (over or 0) - 0.05,
        "over_params_high": (over or 0) + 0.05, "over_params_p": p, "forwards": 2.25, "n": 60, "seeds": 3, **others,
    }  # fmt: skip


@pytest.fixture
def results(tmp_path: Path) -> Path:
    many = [row(f"p{place:02}", 0.6 - place / 100, -0.1, 0.5) for place in range(12)]
    rows = [
        row("meco", 0.8, 0.04, 0.01), row("kd", 0.78, 0.02, 0.3), row("params", 0.76, None, None, seeds=0), *many,
        row("diswot", 0.41, -0.35, 0.001), row("fisher", -0.3, -1.06, 0.001),
    ]  # fmt: skip
    (tmp_path / "tables").mkdir()
    pd.DataFrame(rows).to_csv(tmp_path / "tables" / "leaderboard-digits-distilled.csv", index=False)
    gain = [row("kd", 0.03, 0, 1), row("snip", -0.09, 0, 1)]
    pd.DataFrame(gain).to_csv(tmp_path / "tables" / "leaderboard-digits-gain.csv", index=False)
    sets = [
        {"proxy": name, "set": which, "spearman": value}
        for name, values in {"params": (0.76, 0.6), "diswot": (0.41, 0.8)}.items()
        for which, value in zip(("functions", "all"), values, strict=True)
    ]
    pd.DataFrame(sets).to_csv(tmp_path / "tables" / "sets-digits.csv", index=False)
    facts = {
        "distilled": {"seeds": 3, "spearman": 0.8, "reliability_3": 0.92, "ceiling_3": 0.96, "kendall_vanilla": 0.7,
                      "kendall_vanilla_low": 0.6, "kendall_vanilla_high": 0.77, "spearman_vanilla": 0.9,
                      "corrected_vanilla": 0.99},
        "gain": {"seeds": 3, "spearman": 0.1, "mean": 2.5, "mean_low": 2.25, "mean_high": 2.75},
    }  # fmt: skip
    pd.DataFrame(facts).T.rename_axis("labels").to_csv(tmp_path / "tables" / "reliability-digits.csv")
    for folder, name, written in (
        ("accuracies", "digits-distilled", {"cells": 1060, "seeds": [0, 1, 2], "hardware": ["a CPU"]}),
        ("costs", "digits", {"torch": "2.13.0"}),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{name}.json").write_text(json.dumps(written))
    return tmp_path


@pytest.mark.slow
def test_the_page_is_what_the_tables_say() -> None:
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    assert text == whole_page(text, ROOT), "stale: run `python -m analysis readme`"


@pytest.mark.slow
def test_the_page_of_results_is_what_the_tables_say() -> None:
    made = results_page.page(ROOT / "results")
    assert (ROOT / results_page.PAGE).read_text(encoding="utf-8") == made, "stale: run `python -m analysis readme`"


@pytest.mark.slow
def test_the_page_of_performance_is_what_was_measured() -> None:
    text = (ROOT / performance.PAGE).read_text(encoding="utf-8")
    assert text == performance.whole_page(text, ROOT / "results"), "stale: run `python -m analysis readme`"


@pytest.mark.slow
def test_the_label_card_is_what_the_tables_say() -> None:
    text = (ROOT / label_card.PAGE).read_text(encoding="utf-8")
    assert text == label_card.whole_page(text, ROOT / "results"), "stale: run `python -m analysis readme`"
    card = json.loads((ROOT / label_card.CARD).read_text(encoding="utf-8"))
    assert card == {"labels": label_card.finite(label_card.cards(ROOT / "results"))}, "stale"
    for one in card["labels"]:
        table = read_table(table_path(one["benchmark"], "distilled", ROOT / "results/accuracies")).rows
        assert one["functions"] == table["cell"].nunique()
        assert one["gain_points"]["interval"][0] < one["gain_points"]["mean"] < one["gain_points"]["interval"][1]


def test_the_readme_is_short() -> None:
    assert len((ROOT / PAGE).read_text(encoding="utf-8").split()) < 900


def test_its_figures_are_there() -> None:
    for name in FIGURES:
        assert (ROOT / "results" / "figures" / f"digits-distilled-{name}.png").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(("made", "first"), [(block, 4), (results_page.page, 10)])
def test_it_shows_the_first_and_those_that_are_always_shown(
    made: Callable[[Path], str], first: int, results: Path
) -> None:
    lines = [line for line in made(results).splitlines() if line.startswith("| ")][1:]
    shown = {line.split(" | ")[0].removeprefix("| "): line.split(" | ")[1] for line in lines}
    assert list(shown) == ["meco", "kd", "params", *(f"p{place:02}" for place in range(first - 3)), "diswot"]
    assert shown["params"] == "3"
    assert shown["diswot"] == "16"


@pytest.mark.slow
def test_a_row_has_what_its_page_has_room_for(results: Path) -> None:
    lines = [line for line in results_page.page(results).splitlines() if line.startswith("| ")][1:]
    assert lines[0] == "| meco | 1 | 0.80 | 0.70 to 0.90 | 0.40 | +0.04* | 2.2 | 60 | 3 |"
    assert lines[2] == "| params | 3 | 0.76 | 0.66 to 0.86 | 0.38 | – | 2.2 | 60 | none needed |"
    assert "| meco | 1 | 0.80 | 0.70 to 0.90 | +0.04* |" in block(results).splitlines()


@pytest.mark.slow
def test_the_readme_says_a_sentence_of_the_ceiling_of_params_of_diswot_and_of_the_gain(results: Path) -> None:
    said = block(results)
    assert "17 scores" in said
    assert "1,060 random functions" in said
    assert "two seeds of the labels agree with Spearman 0.80, so a proxy" in said
    assert "would reach 0.96" in said
    assert "Params: 1 of 16 scores rank beyond doubt better" in said
    assert "parameters, 2 worse" in said
    assert "Spearman 0.41 (0.31 to 0.51), over params -0.35 (-0.40 to -0.30)" in said
    assert "adds 2.50 points (2.25 to 2.75)" in said
    assert "snip's -0.09 (-0.19 to 0.01), and two seeds of the gain agree with 0.10" in said


def test_the_page_of_results_says_who_beats_params_and_what_ranks_the_gain(results: Path) -> None:
    said = results_page.page(results)
    assert "17 scores" in said
    assert "1,060 random functions" in said
    assert "1 of 16 beat counting parameters: meco (+0.04), and 2 lose to it" in said
    assert "that of params -0.35 (-0.40 to -0.30)" in said
    assert "snip's -0.09 (-0.19 to 0.01)" in said
    assert "adds 2.50 points (2.25 to 2.75)" in said
    assert "Spearman 0.80, the mean of 3 has reliability 0.92" in said
    assert "would reach Spearman 0.96; two seeds of the gain agree with 0.10" in said
    assert "Kendall 0.70 (0.60 to 0.77), Spearman 0.90, 0.99 when" in said
    assert "hold for, params 0.76 and 0.60, diswot 0.41 and 0.80 (" in said


def test_only_what_is_between_the_marks_changes(results: Path) -> None:
    once = page(TEXT, results)
    assert once.startswith(f"# Title\n\n{BEGIN}\n`digits`")
    assert once.endswith(f"{END}\n\nafter\n")
    assert "of yesterday" not in once
    assert page(once, results) == once


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END}{BEGIN}", TEXT + BEGIN])
def test_a_page_without_marks_is_bad_input(text: str, results: Path) -> None:
    with pytest.raises(BadInput, match="lacks the marks"):
        page(text, results)


def test_sections_of_what_is_not_published_are_left_out(results: Path) -> None:
    headings = [line for line in results_page.page(results).splitlines() if line.startswith("#")]
    assert headings == ["# Results", "## Which scores rank the cells", "## What the labels can tell"]


def test_a_missing_table_says_how_to_make_it(results: Path) -> None:
    (results / "tables" / "leaderboard-digits-gain.csv").unlink()
    with pytest.raises(BadInput, match="analysis tables"):
        block(results)
