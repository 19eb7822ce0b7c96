"""`python -m distill study`: every recipe's tables, vanilla students once for all that share them, teachers first."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from conftest import Command
from test_distill_runs import SKELETON, tiny_teacher

import distill.cli
import distill.runs
import distill.teachers
import images.digits
from distill.recipes import MODES, STUDIED, Recipe, recipe
from distill.runs import Done, Run, visiting_order
from distill.store import AccuracyStore
from distill.tables import read_table, recipe_path, table_path
from distill.teachers import Teacher

SOFTER = "digits:temperature=2.0"
"""Beside `digits` itself: it differs in its distillation only."""
WORDS = ("distill", "study", "--benchmark", "digits", "--limit", 2, "--seeds", "0", "--workers", 1, "--device", "cpu")


def tiny(name: str) -> Recipe:
    return dataclasses.replace(recipe(name), skeleton=SKELETON, epochs=1, epoch_steps=2, batch=8, apart=True)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two steps, a small network, an untrained teacher, few held-out scenes; two recipes are studied."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(distill.cli, "STUDIED", {"digits": ("digits", SOFTER)})
    for module in (distill.cli, distill.runs):
        monkeypatch.setattr(module, "recipe", tiny)
    monkeypatch.setattr(distill.runs, "load_teacher", tiny_teacher)
    for split in ("val", "test"):
        monkeypatch.setitem(images.digits.SCENES, split, 40)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Every run done in this process since."""
    done: list[Run] = []
    real = distill.runs._train

    def count(trainer: Any, task: Run) -> Done:
        done.append(task)
        return real(trainer, task)

    monkeypatch.setattr(distill.runs, "_train", count)
    return done


@pytest.fixture
def taught(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every teacher trained, and every one loaded, in order; in place of training a record is written."""
    done: list[str] = []

    def train(name: str, folder: Path, data: Path | None, **options: Any) -> dict[str, Any]:
        done.append(f"trained {name}")
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.json").write_text("{}")
        return {"val": 50.0, "test": 51.0, "hash": "ab" * 32}

    def load(name: str) -> Teacher:
        done.append(f"loaded {name}")
        return tiny_teacher(name)

    monkeypatch.setattr(distill.teachers, "train_teacher", train)
    monkeypatch.setattr(distill.runs, "load_teacher", load)
    return done


def tables(folder: Path) -> dict[tuple[str, str], Path]:
    return {(name, mode): table_path(name, mode, folder) for name in ("digits", SOFTER) for mode in MODES}


@pytest.mark.slow
def test_both_tables_of_every_recipe_are_written_and_vanilla_students_trained_once(
    command: Command, tmp_path: Path, trained: list[Run]
) -> None:
    ended = command(*WORDS)
    assert ended.code == 0, ended.err
    found = tables(Path("results/recipes"))
    assert ended.out.splitlines() == [f"wrote {path}" for path in found.values()]
    cells = visiting_order()[:2]
    assert Counter(trained) == {
        Run(cell, 0, (mode,)): 1 if mode == "vanilla" else 2 for cell in cells for mode in MODES
    }
    read = {key: read_table(path) for key, path in found.items()}
    for (name, mode), table in read.items():
        assert sorted(map(tuple, table.rows[["cell", "seed"]].to_numpy())) == sorted(
            (cell, seed) for cell in cells for seed in range(3)
        )
        record = json.loads(recipe_path(found[name, mode]).read_text())
        assert (record["benchmark"], record["mode"]) == (name, mode)
    vanilla, distilled = ([read[name, mode] for name in ("digits", SOFTER)] for mode in MODES)
    pd.testing.assert_frame_equal(vanilla[0].rows, vanilla[1].rows, check_exact=True)
    assert vanilla[0].hash == vanilla[1].hash
    assert [table.recipe["temperature"] for table in distilled] == [4.0, 2.0]
    assert not distilled[0].rows["log_likelihood"].equals(distilled[1].rows["log_likelihood"])
    store = AccuracyStore(tmp_path / "results/store/accuracies.sqlite")
    assert [len(store.rows(table.hash)) for table in (vanilla[0], *distilled)] == [6, 6, 6]
    assert not (tmp_path / "results/accuracies").exists(), "a study is no part of the labels"


@pytest.mark.slow
def test_a_stopped_study_goes_on_and_a_finished_one_trains_nothing(
    command: Command, tmp_path: Path, trained: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = distill.runs._train

    def stop(trainer: Any, task: Run) -> Done:
        if len(trained) == 5:
            raise KeyboardInterrupt
        return counting(trainer, task)

    with monkeypatch.context() as patch:
        patch.setattr(distill.runs, "_train", stop)
        assert command(*WORDS).code == 130
    written = [path.exists() for path in tables(tmp_path / "results/recipes").values()]
    assert written == [True, True, False, False], "the first recipe is done, the second has one training"
    assert command(*WORDS).code == 0
    assert len(trained) == 6
    before = {path: path.read_bytes() for path in (tmp_path / "results/recipes").iterdir()}
    assert len(before) == 8
    assert command(*WORDS).code == 0
    assert len(trained) == 6
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.slow
def test_more_functions_are_added_to_those_there_are(command: Command, tmp_path: Path, trained: list[Run]) -> None:
    words = [1 if word == 2 else word for word in WORDS]
    assert command(*words, "--output", "mine", "--store", "mine.sqlite").code == 0
    assert {run.cell for run in trained} == set(visiting_order()[:1])
    trained.clear()
    assert command(*WORDS, "--output", "mine", "--store", "mine.sqlite").code == 0
    assert Counter(run.cell for run in trained) == {visiting_order()[1]: 3}
    assert {path.name.split("-")[0] for path in (tmp_path / "mine").iterdir()} == {"digits", "digits_temperature=2.0"}
    assert not (tmp_path / "results").exists()


# teachers


@pytest.mark.slow
def test_a_teacher_that_nobody_trained_is_trained_before_its_students(
    command: Command, tmp_path: Path, taught: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "digits.json").write_text("{}")
    monkeypatch.setattr(distill.teachers, "FOLDER", weights)
    other = "digits:teacher=digits-resnet20"
    monkeypatch.setattr(distill.cli, "STUDIED", {"digits": ("digits", other, f"{other}:temperature=2.0")})
    ended = command(*WORDS)
    assert ended.code == 0, ended.err
    assert [word for word in taught if word.startswith("trained")] == ["trained digits-resnet20"]
    before = taught[: taught.index("trained digits-resnet20")]
    assert set(before) == {"loaded digits"}, "the first recipe's students had theirs"
    assert "loaded digits-resnet20" in taught
    assert "teacher digits-resnet20: val 50.00 %, test 51.00 %" in ended.out
    taught.clear()
    assert command(*WORDS).code == 0
    assert not [word for word in taught if word.startswith("trained")]


def test_a_teacher_that_diverged_ends_the_study_in_one_line(
    command: Command, tmp_path: Path, trained: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    from common.errors import BadInput

    def diverge(name: str, *arguments: Any, **options: Any) -> None:
        raise BadInput(f"the teacher '{name}' diverged: nothing was written")

    monkeypatch.setattr(distill.teachers, "FOLDER", tmp_path / "none")
    monkeypatch.setattr(distill.teachers, "train_teacher", diverge)
    ended = command(*WORDS)
    assert (ended.code, ended.out) == (1, "")
    assert ended.error == "the teacher 'digits' diverged: nothing was written"
    assert trained == []


# refused


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["--benchmark", "digit"], 2, "unknown benchmark whose recipes are studied 'digit': did you mean 'digits'?"),
        (["--benchmark", "cifar100"], 2, "unknown benchmark whose recipes are studied 'cifar100'"),
        (["--limit", "0"], 2, "--limit 0: must be at least 1"),
        (["--workers", "0"], 2, "--workers 0: must be at least 1"),
        (["--benchmark", "digits", "--seeds", "2-1"], 2, "--seeds '2-1': expected numbers and ranges"),
        (["--benchmark", "digits", "--data", "nowhere"], 1, "--data nowhere: no such folder"),
        (["--benchmark", "digits", "--device", "tpu"], 1, "--device tpu: expected auto, cpu or cuda"),
    ],
)
def test_what_means_nothing_is_one_line_and_leaves_nothing_behind(
    command: Command, tmp_path: Path, trained: list[Run], words: list[str], code: int, expected: str
) -> None:
    ended = command("distill", "study", *words)
    assert (ended.code, ended.out) == (code, "")
    assert expected in ended.error
    assert trained == []
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [name for names in STUDIED.values() for name in names])
def test_every_recipe_that_is_studied_names_a_teacher_of_its_images(name: str) -> None:
    distill.teachers.check_teacher(recipe(name))
    assert recipe(name).apart, "vanilla students are shared"
