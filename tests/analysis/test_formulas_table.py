"""Formulas that were found, judged where they were not searched: numbers against SciPy, the control, the verdict."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from formula_world import TOLD, formula_world
from scipy import stats
from small_results import CELLS, accuracies, scores

from analysis.studies.found.formulas import NONE, Beside, Judged, Rho, judge
from analysis.tables.found.formulas import frame, table, verdict
from analysis.tables.registry import REGISTRY, Sources
from bench.benchmarks import benchmark
from common.errors import BadInput
from common.formats import read_csv, read_json, write_json
from search.formula.halves import halves, shuffled
from search.formula.records import read
from tests.conftest import Command

pytestmark = pytest.mark.slow

DIGITS = benchmark("digits")
SEARCH = ("formula", "--runs", 1, "--controls", 1, "--budget", 200, "--population", 40, "--formula", TOLD)


@pytest.fixture
def found(command: Command, tmp_path: Path, few_resamples: None) -> Path:
    """A folder with the results of a short search."""
    formula_world(tmp_path)
    ended = command("search", *SEARCH)
    assert ended.code == 0, ended.err
    return tmp_path / "results"


def of(found: Path) -> list[Judged]:
    return judge(DIGITS, found / "formulas", found / "scores", found / "accuracies")


def test_every_number_is_that_of_scipy(found: Path) -> None:
    formulas, values, _ = read("digits", found / "formulas")
    searched, other = halves(CELLS, DIGITS)
    labels = accuracies()["distilled"].mean(axis=1)
    judged = of(found)
    assert [one.kind for one in judged[:3]] == ["found", "control", "given"]
    for one, number in zip(judged, formulas["number"], strict=False):
        own = values[values["number"] == number].pivot(index="cell", columns="seed", values="value")
        truth = pd.Series(shuffled(labels.to_dict(), 0)) if one.kind == "control" else labels
        for rho, cells, seed in ((one.searched, searched, 0), (one.other, other, 0), (one.seeds, other, 1)):
            expected = stats.spearmanr(own.loc[cells, seed], truth[cells]).statistic
            assert rho.value == pytest.approx(expected)
            assert rho.low <= rho.value <= rho.high
    assert judged[0].searched.value == pytest.approx(formulas["fitness"].iloc[0], abs=1e-6)


def test_formulas_stand_beside_the_proxies_of_the_same_functions(found: Path) -> None:
    _, values, _ = read("digits", found / "formulas")
    _, other = halves(CELLS, DIGITS)
    labels = accuracies()["distilled"].mean(axis=1)
    judged = of(found)
    own = values[values["number"] == 2].groupby("cell")["value"].mean()
    given = next(one for one in judged if one.kind == "given")
    nwot = scores()["nwot"].mean(axis=1, skipna=False)
    assert given.beside is not None
    assert given.beside.best == "nwot"
    there = [cell for cell in other if np.isfinite(nwot[cell])]
    difference = (
        stats.spearmanr(own[there], labels[there]).statistic - stats.spearmanr(nwot[there], labels[there]).statistic
    )
    assert given.beside.over.value == pytest.approx(difference)
    assert given.beside.over.low <= difference <= given.beside.over.high
    assert 0 < given.beside.beaten < given.beside.proxies
    control = next(one for one in judged if one.kind == "control")
    assert (control.beside, control.elsewhere) == (None, {})
    proxies = {one.name: one for one in judged if one.kind == "proxy"}
    assert next(iter(proxies)) == "params"
    expected = stats.spearmanr(scores()["snip"].loc[other, 0], labels[other]).statistic
    assert proxies["snip"].other.value == pytest.approx(expected)


def test_a_table_is_written_and_shown_from_its_file(found: Path) -> None:
    sources = Sources(DIGITS, formulas=found / "formulas", scores=found / "scores", accuracies=found / "accuracies")
    definition = REGISTRY["formulas-{}"]
    made = definition.frame(sources)
    assert made is not None
    first = definition.table(made, sources)
    first.write(found / "tables/formulas-digits")
    again = definition.table(read_csv(found / "tables/formulas-digits.csv"), sources)
    numbers = made.select_dtypes("number").columns
    np.testing.assert_allclose(again.frame[numbers].to_numpy(float), made[numbers].to_numpy(float), atol=5.1e-5)
    assert again.frame["formula"].tolist() == made["formula"].tolist()
    assert again.typeset().head == first.typeset().head
    text = (found / "tables/formulas-digits.md").read_text()
    assert "The controls reach" in text
    assert "| params |" in text
    assert REGISTRY["formulas-{}"].frame(Sources(DIGITS, formulas=found / "nowhere")) is None


def line(kind: str, beaten: int, searched: float = 0.8, other: float = 0.7) -> Judged:
    beside = Beside("nwot", Rho(0.1, 0.05, 0.2), 0.01, beaten, 9) if kind == "found" else None
    rhos = (Rho(searched, 0.6, 0.9), Rho(other, 0.5, 0.9), NONE)
    elsewhere = {"cifar10-16px": (Rho(0.5, 0.2, 0.7), beside)} if beside else {}
    return Judged(kind, 0.0, "both.cka", 1.0, 100.0, *rhos, beside, elsewhere)


@pytest.mark.parametrize(
    ("beaten", "said"),
    [
        ((8, 3), "None of 2 formulas found outranks every hand-made proxy beyond doubt on the other half."),
        ((9, 3), "1 of 2 formulas found outranks every hand-made proxy beyond doubt on the other half."),
        ((9, 9), "2 of 2 formulas found outrank every hand-made proxy beyond doubt on the other half."),
    ],
)
def test_the_verdict_counts_those_that_outrank_every_proxy(beaten: tuple[int, ...], said: str) -> None:
    lines = [*(line("found", each) for each in beaten), line("control", 0, 0.3, -0.1), line("control", 0, 0.4, 0.2)]
    told = verdict(frame(lines))
    assert told.startswith(said)
    assert told.endswith("The controls reach 0.30 to 0.40 where they searched and -0.10 to 0.20 on the other half.")
    text = table(frame(lines), "digits").typeset().markdown()
    assert "cifar10-16px" in text
    assert f"{beaten[0]} of 9" in text
    assert "+0.10 [+0.05 to +0.20]*" in text
    assert math.isnan(lines[0].seeds.value)


def test_the_command_prints_the_table_and_judges_by_a_file(command: Command, found: Path) -> None:
    lines = "".join(f"{cell},{50 + at}\n" for at, cell in enumerate(CELLS))
    (found.parent / "labels.csv").write_text(f"cell,accuracy\n{lines}")
    ended = command("analysis", "formulas", "--on", "digits", "--against", "labels.csv")
    assert ended.code == 0, ended.err
    assert TOLD in ended.out
    assert "The controls reach" in ended.out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--benchmark", "digit"], 2, "did you mean 'digits'?"),
        (["--formulas", "nowhere"], 1, "cannot read nowhere/digits.json (No such file or directory): make it again"),
        (["--on", "digits"], 2, "--on and --against go together"),
        (["--on", "digits", "--against", "none.csv"], 2, "labels 'none.csv': neither"),
    ],
)
def test_what_cannot_be_judged_is_one_line(
    command: Command, found: Path, words: list[str], code: int, message: str
) -> None:
    ended = command("analysis", "formulas", *words)
    assert message in ended.error
    assert (ended.code, ended.out) == (code, "")


def test_formulas_of_other_labels_are_refused(found: Path) -> None:
    path = found / "formulas/digits.json"
    settings = read_json(path)
    settings["labels"]["recipe_hash"] = "0" * 64
    write_json(path, settings)
    with pytest.raises(BadInput, match="was searched by labels of another recipe: make it again"):
        of(found)
