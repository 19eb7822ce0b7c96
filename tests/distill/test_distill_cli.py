"""The command line of distillation: a rehearsal from end to end, JSON that is JSON, and errors in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from distill.runs import visiting_order
from distill.tables import read_table
from images import digits

pytestmark = pytest.mark.slow

Command = Callable[..., Any]

NO_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
REHEARSAL = ("--benchmark", "digits-rehearsal", "--store", "a.sqlite", "--output", "tables")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "SCENES", {"val": 40, "test": 60})


@pytest.fixture
def _untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an error is not seen in time, the test is to fail and not to train thousands of cells."""

    def train(*arguments: object, **options: object) -> None:
        raise AssertionError("nothing is to be trained")

    monkeypatch.setattr("distill.runs.run", train)
    monkeypatch.setattr("distill.teachers.Lockstep", train)


@pytest.mark.usefixtures("_untrained")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "--limit", "0"], "--limit 0: must be at least 1"),
        (["run", "--workers", "0"], "--workers 0: must be at least 1"),
        (["run", "--workers", "-1"], "--workers -1: must be at least 1"),
        (["run", "--seeds", "2-1"], "--seeds '2-1': expected numbers and ranges"),
        (["run", "--benchmark", "digit"], "did you mean 'digits'?"),
        (["status", "--benchmark", "cifar1000"], "did you mean 'cifar10"),
        (["export", "--benchmark", "digit"], "did you mean 'digits'?"),
        (["merge", "other.sqlite", "--benchmark", "digit"], "did you mean 'digits'?"),
        (["teacher", "digit"], "unknown teacher 'digit': did you mean 'digits'?"),
        (["teacher", "cifar100-resnet57"], "unknown teacher network 'resnet57'"),
        (["teacher", "digits", "--epochs", "0"], "--epochs 0: must be at least 1"),
        (["teacher", "random:digits"], "unknown teacher 'random:digits'"),
    ],
)
def test_a_word_that_means_nothing_ends_with_2_and_leaves_nothing_behind(
    command: Command, tmp_path: Path, words: list[str], expected: str
) -> None:
    ended = command("distill", *words)
    assert expected in ended.error
    assert (ended.code, ended.out) == (2, "")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("_untrained")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "--device", "tpu"], "--device tpu: expected auto, cpu or cuda"),
        (["teacher", "--device", "tpu"], "--device tpu: expected auto, cpu or cuda"),
        (["run", "--data", "nowhere"], "--data nowhere: no such folder"),
        (["status", "--data", "nowhere"], "--data nowhere: no such folder"),
        (["teacher", "--data", "nowhere"], "--data nowhere: no such folder"),
        (["merge", "other.sqlite"], "no store at other.sqlite"),
        pytest.param(["run", "--device", "cuda"], "--device cuda: no CUDA device on this machine", marks=NO_CUDA),
        pytest.param(["run", "--device", "cuda:1"], "--device cuda:1: no CUDA device", marks=NO_CUDA),
        pytest.param(["teacher", "--device", "cuda"], "no CUDA device on this machine; use --device", marks=NO_CUDA),
    ],
)
def test_what_is_not_there_ends_with_1_and_leaves_nothing_behind(
    command: Command, tmp_path: Path, words: list[str], expected: str
) -> None:
    ended = command("distill", *words)
    assert expected in ended.error
    assert (ended.code, ended.out) == (1, "")
    assert not list(tmp_path.iterdir())


def test_a_rehearsal_trains_tells_exports_and_merges(command: Command, tmp_path: Path) -> None:
    ran = command("distill", "run", *REHEARSAL, "--limit", 2, "--seeds", "1", "--workers", 1, "--device", "cpu")
    assert ran.code == 0, ran.err
    paths = [tmp_path / "tables" / f"digits-rehearsal-{mode}.csv.gz" for mode in ("vanilla", "distilled")]
    assert ran.out.splitlines() == [f"wrote tables/{path.name}" for path in paths]
    for path in paths:
        rows = read_table(path).rows
        assert set(rows["cell"]) == set(visiting_order()[:2])
        assert sorted(set(rows["seed"])) == [0, 1, 2]
    before = [path.read_bytes() for path in paths]

    told = command("distill", "status", *REHEARSAL, "--json")
    entries = json.loads(told.out)
    assert [entry["mode"] for entry in entries] == ["vanilla", "distilled"]
    for entry in entries:
        assert set(entry) == {"benchmark", "mode", "seeds", "cells", "wanted", "trainings", "failed"}
        assert (entry["benchmark"], entry["seeds"], entry["cells"]) == ("digits-rehearsal", [0, 1, 2], 2)
        assert (entry["trainings"], entry["failed"], entry["wanted"]) == (6, 0, len(visiting_order()))
    for_people = command("distill", "status", *REHEARSAL)
    assert for_people.out.split()[:7] == ["benchmark", "mode", "seeds", "cells", "wanted", "trainings", "failed"]

    assert command("distill", "export", *REHEARSAL).code == 0
    assert [path.read_bytes() for path in paths] == before
    merged = command(
        "distill", "merge", "a.sqlite", "--benchmark", "digits-rehearsal", "--store", "b.sqlite", "--output", "again"
    )
    assert merged.code == 0, merged.err
    assert [(tmp_path / "again" / path.name).read_bytes() for path in paths] == before


def test_status_of_nothing_is_one_json_array_with_nothing_done(command: Command) -> None:
    told = command("distill", "status", *REHEARSAL, "--json")
    assert told.code == 0, told.err
    entries = json.loads(told.out)
    assert [(entry["cells"], entry["trainings"], entry["seeds"]) for entry in entries] == [(0, 0, [])] * 2


def test_export_of_nothing_names_the_command_that_makes_something(command: Command) -> None:
    ended = command("distill", "export", *REHEARSAL)
    assert "a.sqlite has no vanilla trainings of digits-rehearsal: `python -m distill run` makes them" in ended.error
    assert ended.code == 1


def test_a_teacher_is_trained_told_and_written_where_asked(command: Command, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        shrink_teacher(patch)
        ended = command("distill", "teacher", "digits-nb201-5", "--output", "weights", "--epochs", 2, "--device", "cpu")
    assert ended.code == 0, ended.err
    assert ended.out.startswith("teacher digits-nb201-5: val ")
    record = json.loads((tmp_path / "weights" / "digits-nb201-5.json").read_text())
    assert record["hash"][:16] in ended.out
    assert record["recipe"]["epochs"] == 2
    assert "teacher digits-nb201-5: 6 of 6 steps" in ended.err
    assert {path.name for path in (tmp_path / "weights").iterdir()} == {"digits-nb201-5.pt", "digits-nb201-5.json"}


def shrink_teacher(patch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from distill import teachers
    from distill.recipes import teacher_recipe

    plan = teacher_recipe("digits")
    small = replace(plan, skeleton=replace(plan.skeleton, channels=4, cells_per_stage=1), epoch_steps=3, batch=8)
    patch.setattr(teachers, "teacher_recipe", lambda benchmark: small)


def test_chosen_cells_come_from_a_file_and_not_from_the_name_of_their_tables(command: Command, tmp_path: Path) -> None:
    ended = command("distill", "run", "--benchmark", "digits-chosen")
    assert ended.code == 2
    assert "--benchmark digits-chosen: say --benchmark digits --cells FILE" in ended.error
    (tmp_path / "cells.txt").write_text("7\n# a word\n15625\n")
    ended = command("distill", "run", "--cells", "cells.txt")
    assert ended.code == 2
    assert "cells.txt, line 3: cell index 15625 is out of range" in ended.error
    assert not (tmp_path / "results").exists()
    ended = command("distill", "run", "--cells", "none.txt")
    assert ended.code == 2
    assert "--cells 'none.txt': neither a cell set (all, valid, unique, functions) nor a file" in ended.error
