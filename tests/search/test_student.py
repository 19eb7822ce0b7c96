"""`python -m search student`: killed anywhere it ends the same, and its report is of what was searched and trained."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path
from statistics import fmean

import pytest

from bench.benchmarks import benchmark
from common.cli import run
from common.progress import Progress
from images import digits
from search.cli import app
from spaces.nb201.cell import cells
from spaces.nb201.skeleton import count_parameters
from tests.conftest import Command, Fork

pytestmark = pytest.mark.slow

WORDS = ("student", "--benchmark", "digits-rehearsal", "--proxy", "params", "--max-params", "20k", "--seeds", "0-1")
REHEARSED = Path("results/store/rehearsal")
RECORD = REHEARSED / "students/digits-rehearsal-params-evolve.params=20000.json"


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "SCENES", {"val": 40, "test": 60})


def files(folder: Path) -> dict[str, bytes]:
    """All that is kept, the record without its seconds."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: _timeless(data) if name.startswith("students/") else data for name, data in found.items()}


def _timeless(data: bytes) -> bytes:
    record = json.loads(data)
    assert record.pop("seconds").keys() == {"search", "process", "distillation"}
    return json.dumps(record).encode()


def search(title: str = "", step: int = -1) -> None:
    """The command, killed in one of its parts after so many steps of it, or not at all."""
    digits.SCENES = {"val": 40, "test": 60}
    advance = Progress.advance

    def killing(self: Progress, count: int, **options: int) -> None:
        advance(self, count, **options)
        if self.title.startswith(title) and self.done == step:
            os.kill(os.getpid(), signal.SIGKILL)

    pytest.MonkeyPatch().setattr(Progress, "advance", killing)
    sys.argv = ["search", *WORDS]
    run(app)


def test_killed_in_every_step_it_ends_the_same(tmp_path: Path, fork: Fork) -> None:
    for folder in ("killed", "whole"):
        (tmp_path / folder).mkdir()
    for title, step in (("evolve", 1), ("process", 3), ("compare", 12)):
        code, _, err = fork(search, title, step, folder=tmp_path / "killed").end()
        assert code == -signal.SIGKILL, err
    for folder in ("killed", "whole"):
        code, out, err = fork(search, folder=tmp_path / folder).end()
        assert code == 0, err
        assert out.splitlines() == [str(RECORD)]
    assert files(tmp_path / "killed" / REHEARSED) == files(tmp_path / "whole" / REHEARSED)
    first = json.loads((tmp_path / "killed" / RECORD).read_text())
    assert len(first["trained"]) == 6
    # once finished, a step takes no more seconds
    assert fork(search, folder=tmp_path / "killed").end()[0] == 0
    assert json.loads((tmp_path / "killed" / RECORD).read_text()) == first


@pytest.mark.usefixtures("_small")
def test_the_report_is_of_what_was_found_and_trained(command: Command, tmp_path: Path) -> None:
    ended = command("search", *WORDS)
    assert ended.code == 0, ended.err
    record = json.loads((tmp_path / RECORD).read_text())
    skeleton = benchmark("digits").skeleton
    params = count_parameters(cells()[record["found"]["cell"]], skeleton)
    assert params == record["found"]["params"] <= 20_000
    ended = command("analysis", "student", RECORD)
    assert ended.code == 0, ended.err
    assert f"cell {record['found']['cell']}: {cells()[record['found']['cell']]}" in ended.out
    table = tmp_path / REHEARSED / f"distillation/{record['pair']}.csv"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    tests = {loss: [float(row["test"]) for row in rows if row["loss"] == loss] for loss in ("vanilla", "kd", "replay")}
    for loss, values in tests.items():
        line = next(line for line in ended.out.splitlines() if line.split()[:1] == [loss])
        assert line.split()[1:3] == ["2", f"{fmean(values):.2f}"]
        over = {"kd": "kd", "vanilla": "vanilla"}
        for against in over:
            assert loss == against or f" {fmean(values) - fmean(tests[against]):.2f} " in line
    for step, seconds in record["seconds"].items():
        assert re.search(rf"^ {step} +{seconds:.1f} ", ended.out, re.MULTILINE), step
    assert "6 trainings" in ended.out
    figure = Path(ended.out.splitlines()[-1].removeprefix("weights over time: "))
    assert figure.parent == REHEARSED / "figures"
    assert (tmp_path / figure).read_bytes().startswith(b"\x89PNG")

    # with another seed and the process given, only what is missing is trained
    process = Path(record["process"])
    shutil.copy(tmp_path / process, tmp_path / "given.json")
    ended = command("search", *WORDS[:-1], "0-2", "--process", "given.json")
    assert ended.code == 0, ended.err
    given = tmp_path / RECORD.with_name(f"{RECORD.stem}.process=given.json")
    again = json.loads(given.read_text())
    assert again["losses"] == ["vanilla", "kd", "replay@given"]
    assert len(again["trained"]) == 5
    assert "process" not in again["seconds"]
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    by_loss = {(row["loss"], row["seed"]): row["test"] for row in rows}
    assert len(by_loss) == 11
    assert all(by_loss["replay", seed] == by_loss["replay@given", seed] for seed in "01")
    ended = command("analysis", "student", given)
    assert "read from given.json" in ended.out
    assert "5 trainings; 4 more were there" in ended.out


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["--benchmark", "digit"], 2, "did you mean 'digits'"),
        (["--benchmark", "resnet-cifar100"], 2, "unknown benchmark with a training recipe 'resnet-cifar100'"),
        (["--proxy", "diswott"], 2, "did you mean 'diswot'"),
        (["--proxy", "diswot,nwot"], 2, "a search follows one proxy"),
        (["--method", "evolv"], 2, "did you mean 'evolve'"),
        (["--method", "all"], 2, "a student is found by one method"),
        (["--seeds", "99-101"], 2, "seed 100 is of the search of the process"),
        (["--max-params", "1"], 2, "no cell to choose from has so little"),
        (["--data", "nowhere"], 1, "no such folder"),
        (["--process", "none.json"], 1, "no process none.json"),
    ],
)
def test_a_wrong_word_is_one_line_and_trains_nothing(
    words: list[str], code: int, expected: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*arguments: object, **options: object) -> None:
        raise AssertionError("nothing is to be trained")

    monkeypatch.setattr("distill.comparison.Lockstep", train)
    monkeypatch.setattr("distill.comparison.Search", train)
    ended = command("search", *WORDS, *words)
    assert ended.code == code, ended.err
    assert expected in ended.error


def test_a_spoilt_or_unfinished_record_is_one_line(command: Command, tmp_path: Path) -> None:
    assert "no student none.json" in command("analysis", "student", "none.json").error
    (tmp_path / RECORD).parent.mkdir(parents=True)
    (tmp_path / RECORD).write_text("{")
    assert "cannot read" in command("analysis", "student", RECORD).error
    assert "cannot read" in command("search", *WORDS).error
    (tmp_path / RECORD).write_text('{"search": {}, "seconds": {}}')
    assert "is not finished" in command("analysis", "student", RECORD).error
    assert "is of another search" in command("search", *WORDS).error
