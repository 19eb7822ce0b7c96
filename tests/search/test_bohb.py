"""BOHB: short trainings first, by planted scores and at the command line with tables of two lengths."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from common.errors import BadUsage
from distill.tables import COLUMNS, AccuracyTable, write_table
from search.choices import Architecture, whole
from search.driver import Asking, Glimpse, Shorter, Trace, drive
from search.methods.registry import METHODS, choose
from search.methods.tpe import BOHB
from spaces.nb201.sets import cell_set
from tests.conftest import Command

pytest.importorskip("optuna")
WHOLE = whole((5,) * 6)
PRICE = 12 / 200


def planted(one: Architecture) -> float:
    return -float(sum(choice * (place + 1) for place, choice in enumerate(one)))


def run(
    first: Callable[[Architecture], float | None], budget: int, price: float = PRICE, method: BOHB | None = None
) -> Trace:
    asking = (method or BOHB()).search(WHOLE, random.Random("7"))
    return drive(asking, WHOLE, planted, budget, Shorter(first, price))


@pytest.mark.slow
def test_a_glimpse_costs_its_part_and_the_budget_is_never_exceeded() -> None:
    trace = run(planted, 30)
    spent = len(trace.scores) + PRICE * len(trace.glimpses)
    assert 29 - PRICE < spent <= 30 + 1e-9
    assert list(trace.scores) != list(trace.glimpses), "some have ended there"
    assert set(trace.scores) < set(trace.glimpses), "what is trained whole was seen short"
    assert trace.answer in trace.scores
    again = run(planted, 30)
    assert (trace.scores, trace.glimpses) == (again.scores, again.glimpses)


@pytest.mark.slow
def test_what_is_trained_whole_was_better_short_than_what_was_not() -> None:
    trace = run(planted, 60)
    ended = [score for one, score in trace.glimpses.items() if one not in trace.scores and score is not None]
    went_on = [trace.glimpses[one] or 0.0 for one in trace.scores]
    assert sum(went_on) / len(went_on) > sum(ended) / len(ended)


@pytest.mark.slow
@pytest.mark.parametrize(("brackets", "first"), [(1, 1.0), (2, 3 / 5), (3, 9 / 17)])
def test_of_independent_draws_the_first_bracket_keeps_a_third_and_the_others_keep_all(
    brackets: int, first: float
) -> None:
    """Hyperband deals to bracket b of n, s = n - 1 - b, in proportion to ceil(n 3^s / (s + 1)): 3 : 2 and 9 : 5 : 3."""
    draw = random.Random(3)
    scores = {one: draw.random() for one in WHOLE.allowed}
    trace = run(scores.__getitem__, 80, method=BOHB(startup=10_000, brackets=brackets))
    assert len(trace.scores) / len(trace.glimpses) == pytest.approx(1 - first + first / 3, abs=0.1)


def test_what_has_no_short_training_is_trained_whole() -> None:
    trace = run(lambda one: None, 10)
    assert len(trace.scores) >= 9
    assert trace.answer is not None


def test_a_glimpse_of_what_is_not_allowed_is_never_taken() -> None:
    space = whole((5,) * 6, lambda one: one[0] == 0)

    def asking() -> Asking:
        for first in (3, 0, 1, 0):
            yield Glimpse((first, 0, 0, 0, 0, 0))

    trace = drive(asking(), space, planted, 5, Shorter(planted, PRICE))
    assert (list(trace.glimpses), trace.outside, trace.asked) == ([(0, 0, 0, 0, 0, 0)], 2, 4)
    assert trace.answer is None


def test_it_is_refused_without_shorter_trainings_and_part_of_all_with_them() -> None:
    with pytest.raises(BadUsage, match="the method bohb begins with shorter trainings: name --accuracy and --shorter"):
        choose("random,bohb")
    assert [method.name for method in choose("all")] == list(METHODS)
    assert [method.name for method in choose("all", shorter=True)] == [*METHODS, "bohb"]
    for text in ("bohb:reduction=1", "bohb:brackets=0"):
        with pytest.raises(BadUsage, match="is out of range"):
            choose(text, shorter=True)


def tables(folder: Path, epochs: dict[str, int], **steps: dict[str, int]) -> list[int]:
    """Two tables of the first 60 functions, the longer one worth more; returns the cells of both.

    `steps` and their `batch` are in the recipe of the table that the keyword names.
    """
    cells = list(cell_set("functions"))[:60]
    for name, length in epochs.items():
        rows = [
            (
                cell,
                0,
                50 + 10 * random.Random(cell).random() + length / 10,
                60.0,
                60.0,
                -1.0,
                length,
                float(length),
                "ok",
            )
            for cell in (cells if name == "long" else cells[:50])
        ]
        table = AccuracyTable(
            pd.DataFrame(rows, columns=list(COLUMNS)), {"epochs": length, "mode": "distilled", **steps.get(name, {})}
        )
        write_table(folder / f"{name}.csv.gz", table, {})
    return cells[:50]


@pytest.mark.slow
def test_the_command_counts_both_lengths(command: Command, tmp_path: Path) -> None:
    both = tables(tmp_path, {"long": 200, "short": 12})
    words = ("--accuracy", "long.csv.gz", "--shorter", "short.csv.gz", "--budget", "12", "--runs", "2")
    ended = command("search", "bohb,tpe", *words)
    assert ended.code == 0, ended.err
    settings = json.loads((tmp_path / "results/searches/digits-long-bohb.shorter=short.json").read_text())
    assert settings["functions"] == len(both)
    assert settings["evaluation"]["shorter"]["accuracy"] == "short"
    with (tmp_path / "results/searches/digits-long-bohb.shorter=short.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    for row in found:
        whole_ones, short = int(row["functions"]), int(row["glimpses"])
        assert whole_ones + short * 12 / 200 <= 12
        assert short >= whole_ones
        assert 200 * whole_ones <= float(row["seconds"]) <= 200 * whole_ones + 12 * short
    with (tmp_path / "results/searches/digits-long-tpe.shorter=short.csv").open(newline="") as file:
        assert {row["glimpses"] for row in csv.DictReader(file)} == {"0"}


@pytest.mark.slow
def test_a_length_is_that_of_the_images_seen_where_recipes_say_it(command: Command, tmp_path: Path) -> None:
    """Epochs of two recipes may differ: here both tables have one, the shorter a tenth of the steps."""
    words = ("--accuracy", "long.csv.gz", "--shorter", "short.csv.gz", "--budget", "12", "--runs", "2")
    tables(tmp_path, {"long": 1, "short": 1}, long={"steps": 600, "batch": 32}, short={"steps": 30, "batch": 64})
    assert command("search", "bohb", *words).code == 0
    with (tmp_path / "results/searches/digits-long-bohb.shorter=short.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            spent = int(row["evaluations"]) + int(row["glimpses"]) / 10
            assert 12 - 1.1 < spent <= 12 + 1e-9
    tables(tmp_path, {"long": 200, "short": 1}, short={"steps": 30, "batch": 64})
    ended = command("search", "bohb", *words)
    assert (ended.code, "trains 1920 images, --accuracy long.csv.gz 200 epochs" in ended.error) == (2, True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--shorter", "short.csv.gz"], "--shorter: it goes with --accuracy"),
        (
            ["--accuracy", "long.csv.gz", "--shorter", "long.csv.gz"],
            "long.csv.gz trains 200 epochs, --accuracy long.csv.gz 200 epochs: it has to be shorter",
        ),
        (["--accuracy", "long.csv.gz", "--shorter", "none.csv.gz"], "none.csv.gz"),
    ],
)
def test_shorter_trainings_that_are_none_are_refused(
    command: Command, tmp_path: Path, words: list[str], expected: str
) -> None:
    tables(tmp_path, {"long": 200, "short": 12})
    ended = command("search", "bohb", *words)
    assert ended.code in (1, 2)
    assert expected in ended.error
