"""Comparisons add rows and never train one twice; processes are learned and replayed from the command line."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from common.errors import BadUsage
from distill.comparison import Pair, Row, _plain, interval, summaries
from distill.process.process import read_process
from images import digits
from spaces.resnet.network import ResNet, ResNetShape, count_parameters

pytestmark = pytest.mark.slow

Command = Callable[..., Any]
COMPARE = ("compare", "--benchmark", "digits-rehearsal", "--student", "1649", "--output", "tables")
TABLE = Path("tables/digits-rehearsal-1649-from-random-digits.csv")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "SCENES", {"val": 40, "test": 60})


def rows(path: Path) -> dict[tuple[str, str], dict[str, str]]:
    with path.open(newline="") as file:
        return {(row["loss"], row["seed"]): row for row in csv.DictReader(file)}


def test_a_comparison_in_two_portions_is_that_in_one(command: Command, tmp_path: Path) -> None:
    first = command("distill", *COMPARE, "--losses", "vanilla,kd", "--seeds", "0")
    assert first.code == 0, first.err
    assert len(rows(tmp_path / TABLE)) == 2
    command("distill", *COMPARE, "--losses", "vanilla,kd,sp,diswot+", "--seeds", "0-1")
    portions = [(tmp_path / TABLE).read_bytes(), (tmp_path / TABLE).with_suffix(".json").read_bytes()]
    assert len(rows(tmp_path / TABLE)) == 8
    (tmp_path / TABLE).unlink()
    (tmp_path / TABLE).with_suffix(".json").unlink()
    ended = command("distill", *COMPARE, "--losses", "vanilla,kd,sp,diswot+", "--seeds", "0-1")
    assert ended.code == 0
    assert [(tmp_path / TABLE).read_bytes(), (tmp_path / TABLE).with_suffix(".json").read_bytes()] == portions
    assert not list((tmp_path / "results/store/checkpoints").glob("*"))


def test_what_is_there_is_not_trained_again(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command("distill", *COMPARE, "--losses", "vanilla,kd", "--seeds", "0-1")
    before = (tmp_path / TABLE).read_bytes()

    def train(*arguments: object, **options: object) -> None:
        raise AssertionError("nothing is to be trained")

    monkeypatch.setattr("distill.comparison.Lockstep", train)
    again = command("distill", *COMPARE, "--losses", "vanilla,kd", "--seeds", "0-1")
    assert again.code == 0
    assert "over kd" in again.out
    assert (tmp_path / TABLE).read_bytes() == before


def test_a_process_is_learned_written_and_replayed(command: Command, tmp_path: Path) -> None:
    words = ("--benchmark", "digits-rehearsal", "--student", "1649", "--transforms", "T1")
    learned = command("distill", "process", *words, "--output", "process.json")
    assert learned.code == 0, learned.err
    process = read_process(tmp_path / "process.json")
    assert len(process.pathways) == 10
    assert process.made_by["seed"] == 0
    assert process.made_by["search"]["normalisation"] == "softmax"
    first = (tmp_path / "process.json").read_bytes()
    command("distill", "process", *words, "--output", "process.json")
    assert (tmp_path / "process.json").read_bytes() == first
    assert not list((tmp_path / "results/store/checkpoints").glob("*"))
    replayed = command(
        *("distill", *COMPARE, "--student", "resnet8", "--seeds", "0"),
        *("--losses", "vanilla,replay,none", "--process", "process.json"),
    )
    assert replayed.code == 0, replayed.err
    found = rows(tmp_path / "tables/digits-rehearsal-resnet8-from-random-digits.csv")
    assert found["none", "0"]["test"] == found["vanilla", "0"]["test"]
    record = json.loads((tmp_path / "tables/digits-rehearsal-resnet8-from-random-digits.json").read_text())
    assert record["losses"]["replay"]["process"] == process.hash
    # another process is another loss
    (tmp_path / "process.json").write_bytes(first)
    process.variant("mean").write(tmp_path / "other.json")
    other = command(
        *("distill", *COMPARE, "--student", "resnet8", "--seeds", "0"),
        *("--losses", "replay", "--process", "other.json"),
    )
    assert other.code == 1
    assert "of another process or weights" in other.error
    # unless it says so in its name; both start from the same transforms
    both = command(
        *("distill", *COMPARE, "--student", "resnet8", "--seeds", "0", "--losses", "replay@process,replay@other"),
        *("--process", "process.json", "--process", "other.json"),
    )
    assert both.code == 0, both.err
    found = rows(tmp_path / "tables/digits-rehearsal-resnet8-from-random-digits.csv")
    assert found["replay@process", "0"]["test"] == found["replay", "0"]["test"]
    record = json.loads((tmp_path / "tables/digits-rehearsal-resnet8-from-random-digits.json").read_text())
    assert record["losses"]["replay@other"]["process"] == process.variant("mean").hash


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["compare", "--losses", "kdd"], "unknown objective 'kdd'"),
        (["compare", "--losses", "replay"], "name its file with --process"),
        (["compare", "--losses", "replay@a"], "name its file, a.json, with --process"),
        (["compare", "--process", "none.json"], "no process none.json"),
        (["compare", "--student", "resnet9"], "the depth must be 6 n + 2"),
        (["compare", "--student", "resnet"], "the depth must be 6 n + 2"),
        (["compare", "--student", "99999"], "99999"),
        (["compare", "--benchmark", "digit"], "did you mean 'digits'?"),
        (["compare", "--epochs", "0"], "--epochs 0: must be at least 1"),
        (["compare", "--teacher", "resnet20"], "unknown teacher 'resnet20'"),
        (["compare", "--teacher", "cifar100"], "has learned cifar100, not digits"),
        (["process", "--seed", "-1"], "--seed -1: must not be negative"),
        (["process", "--stages", "stage1,stage7"], "unknown stage 'stage7'"),
        (["process", "--transforms", "T9"], "unknown transform 'T9'"),
        (["process", "--normalisation", "softmx"], "did you mean 'softmax'"),
    ],
)
def test_a_wrong_word_is_one_line(
    words: list[str], expected: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*arguments: object, **options: object) -> None:
        raise AssertionError("nothing is to be trained")

    monkeypatch.setattr("distill.comparison.Lockstep", train)
    monkeypatch.setattr("distill.comparison.Search", train)
    ended = command("distill", *words)
    assert ended.code in (1, 2)
    assert expected in ended.error


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda table: table.with_suffix(".json").unlink(), "beside it"),
        (lambda table: table.with_suffix(".json").write_text("{"), "cannot read"),
        (lambda table: table.write_text("loss,seed\nkd,0\n"), "cannot read"),
        (
            lambda table: table.with_suffix(".json").write_text(
                table.with_suffix(".json").read_text().replace('"batch": 32', '"batch": 33')
            ),
            "made with other settings",
        ),
    ],
)
def test_a_spoilt_table_is_one_line(
    spoil: Callable[[Path], Any], expected: str, command: Command, tmp_path: Path
) -> None:
    command("distill", *COMPARE, "--losses", "vanilla", "--seeds", "0")
    spoil(tmp_path / TABLE)
    ended = command("distill", *COMPARE, "--losses", "vanilla", "--seeds", "0")
    assert ended.code == 1
    assert expected in ended.error


def test_an_interval_is_that_of_students_t() -> None:
    # 4.302653 is t at 97.5 % with 2 degrees of freedom, in any table
    assert interval([1, 2, 6]) == pytest.approx((3, 3 - 4.302653 * 7**0.5 / 3**0.5, 3 + 4.302653 * 7**0.5 / 3**0.5))
    assert interval([5.0])[0] == 5
    assert all(map(math.isnan, interval([5.0])[1:]))
    assert all(map(math.isnan, interval([])))


def test_differences_are_paired_by_seed_and_failures_left_out() -> None:
    found = [
        Row("kd", 0, 0, 80, 0, "ok"),
        Row("kd", 1, 0, 90, 0, "ok"),
        Row("at", 1, 0, 93, 0, "ok"),
        Row("at", 2, 0, 10, 0, "ok"),
        Row("sp", 0, math.nan, math.nan, math.nan, "diverged"),
        Row("sp", 1, 0, 88, 0, "ok"),
    ]
    by_name = {summary.loss: summary for summary in summaries(found)}
    assert by_name["at"].over_kd == 3
    assert (by_name["at"].n, by_name["at"].mean) == (2, 51.5)
    assert (by_name["sp"].n, by_name["sp"].mean, by_name["sp"].failed) == (1, 88, 1)
    assert by_name["sp"].over_kd == -2
    assert [summary.loss for summary in summaries(found)] == ["sp", "kd", "at"]
    assert {summary.loss: summary.over_kd for summary in summaries(found, "at")}["kd"] == -3


def test_a_resnet_student_is_as_wide_as_the_cells() -> None:
    network = Pair("digits", "resnet14").network(0)
    assert isinstance(network, ResNet)
    shape = ResNetShape((2, 2, 2), 10, (8, 16, 32), 8)
    assert sum(parameter.numel() for parameter in network.parameters()) == count_parameters(shape)


def test_names_of_pairs_tell_student_teacher_and_another_horizon() -> None:
    assert Pair("digits", "1649").name == "digits-1649-from-digits"
    assert Pair("digits", "1649", epochs=2).name == "digits-1649-from-digits"
    assert Pair("digits", "resnet8", "random:digits", 1).name == "digits-resnet8-from-random-digits-1-epochs"
    with pytest.raises(BadUsage):
        Pair("digits", "cell")


def test_all_losses_of_a_seed_start_from_one_network() -> None:
    pair = Pair("digits-rehearsal", "1649")
    first, second = (pair.network(3).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], value) for name, value in pair.network(4).state_dict().items())


RESULTS = Path(__file__).parents[2] / "results"


@pytest.mark.parametrize("table", sorted((RESULTS / "distillation").glob("*.csv")), ids=lambda path: path.stem)
def test_what_is_published_says_of_itself_what_its_rows_say(table: Path) -> None:
    record = json.loads(table.with_suffix(".json").read_text())
    with table.open(newline="") as file:
        found = [
            Row(
                row["loss"],
                int(row["seed"]),
                *(float(row[key] or "nan") for key in ("val", "test", "best")),
                row["status"],
            )
            for row in csv.DictReader(file)
        ]
    assert [_plain(summary) for summary in summaries(found)] == record["summary"]
    known = {read_process(path).hash for path in (RESULTS / "processes").glob("*.json")}
    assert {loss["process"] for loss in record["losses"].values() if "process" in loss} <= known
