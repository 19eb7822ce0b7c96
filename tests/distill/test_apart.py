"""Networks of one mode each: recipes that differ in their distillation share vanilla students, bit for bit."""

from __future__ import annotations

import dataclasses
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from conftest import Fork
from test_distill_runs import SKELETON, tiny_teacher

import distill.runs
import images.digits
from common.errors import BadInput
from common.progress import Progress
from distill.recipes import MODES, Recipe, recipe
from distill.runs import Done, Run, run_missing, status, visiting_order
from distill.store import AccuracyStore
from distill.tables import COLUMNS, read_table, recipe_path
from distill.training import Lockstep, Trained

pytestmark = pytest.mark.slow

ONE, OTHER = "digits:kd_weight=0.5", "digits:temperature=2.0"
"""Two variants that differ in their distillation only."""


def smaller(benchmark: str, apart: bool) -> Recipe:
    return dataclasses.replace(recipe(benchmark), skeleton=SKELETON, epochs=2, epoch_steps=1, batch=16, apart=apart)


def shrink(patch: pytest.MonkeyPatch, apart: bool = True) -> None:
    """Two steps, a small network, an untrained teacher, few held-out scenes."""
    patch.setattr(distill.runs, "recipe", partial(smaller, apart=apart))
    patch.setattr(distill.runs, "load_teacher", tiny_teacher)
    for split in ("val", "test"):
        patch.setitem(images.digits.SCENES, split, 64)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    threads = torch.get_num_threads()
    shrink(monkeypatch)
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


def train(folder: Path, benchmark: str = "digits", limit: int = 2, seeds: tuple[int, ...] = (0,)) -> dict[str, Path]:
    store, output = folder / "store" / "accuracies.sqlite", folder / "tables"
    return run_missing(benchmark, list(seeds), limit, 1, store, output, None)


def rows(path: Path) -> pd.DataFrame:
    """A table less what no two runs share."""
    return read_table(path).rows.drop(columns="seconds")


def assert_equal(first: dict[str, Path], second: dict[str, Path]) -> None:
    for mode in MODES:
        pd.testing.assert_frame_equal(rows(first[mode]), rows(second[mode]), check_exact=True)
        assert read_table(first[mode]).recipe == read_table(second[mode]).recipe


def forget(folder: Path, paths: dict[str, Path], mode: str, cell: int, seed: int) -> None:
    """Take a training out of the store, and all tables away."""
    with closing(sqlite3.connect(folder / "store" / "accuracies.sqlite")) as database, database:
        words = "DELETE FROM accuracy WHERE recipe = ? AND cell = ? AND seed = ?"
        assert database.execute(words, (read_table(paths[mode]).hash, cell, seed)).rowcount == 1
    for path in paths.values():
        path.unlink()


# shared


def test_vanilla_students_of_two_variants_are_trained_once_and_stand_in_the_tables_of_both(
    tmp_path: Path, trained: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    cells = visiting_order()[:2]
    one = train(tmp_path, ONE)
    assert trained == [Run(cell, 0, (mode,)) for cell in cells for mode in MODES]
    assert f"distill {ONE}: 12 of 12 trainings" in capsys.readouterr().err
    trained.clear()
    other = train(tmp_path, OTHER)
    assert trained == [Run(cell, 0, ("distilled",)) for cell in cells]
    assert f"distill {OTHER}: 6 of 6 trainings" in capsys.readouterr().err
    assert [path.name for path in one.values()] == [f"digits_kd_weight=0.5-{mode}.csv.gz" for mode in MODES]
    assert [path.name for path in other.values()] == [f"digits_temperature=2.0-{mode}.csv.gz" for mode in MODES]
    assert one["vanilla"].read_bytes() == other["vanilla"].read_bytes(), "seconds and all"
    assert read_table(one["vanilla"]).recipe == read_table(other["vanilla"]).recipe
    assert read_table(one["distilled"]).hash != read_table(other["distilled"]).hash
    assert not rows(one["distilled"])["log_likelihood"].equals(rows(other["distilled"])["log_likelihood"])
    store = AccuracyStore(tmp_path / "store" / "accuracies.sqlite")
    assert len(store.rows(read_table(one["vanilla"]).hash)) == 6


@pytest.mark.parametrize("first", [ONE, OTHER])
def test_what_was_shared_is_what_each_would_have_trained_for_itself(tmp_path: Path, first: str) -> None:
    second = OTHER if first == ONE else ONE
    train(tmp_path / "both", first)
    assert_equal(train(tmp_path / "both", second), train(tmp_path / "by itself", second))


def test_a_variant_that_trains_otherwise_shares_nothing(tmp_path: Path, trained: list[Run]) -> None:
    train(tmp_path, ONE, limit=1)
    trained.clear()
    train(tmp_path, "digits:learning_rate=0.05", limit=1)
    assert [task.modes for task in trained] == [("vanilla",), ("distilled",)]


def test_vanilla_students_that_another_variant_lacks_are_trained_for_it_alone(
    tmp_path: Path, trained: list[Run]
) -> None:
    train(tmp_path, ONE, limit=1)
    trained.clear()
    train(tmp_path, OTHER, limit=2, seeds=(0, 3))
    first, second = visiting_order()[:2]
    assert trained == [
        Run(first, 0, ("distilled",)),
        *(Run(first, 1, (mode,)) for mode in MODES),
        *(Run(second, block, (mode,)) for block in (0, 1) for mode in MODES),
    ]


def test_status_counts_the_shared_students_of_a_variant_of_which_nothing_was_trained_yet(tmp_path: Path) -> None:
    train(tmp_path, ONE)
    entries = status(OTHER, tmp_path / "store" / "accuracies.sqlite", tmp_path / "tables", None)
    assert [(entry["benchmark"], entry["mode"], entry["trainings"]) for entry in entries] == [
        (OTHER, "vanilla", 6),
        (OTHER, "distilled", 0),
    ]


# of one mode, whatever becomes of the other


@pytest.mark.parametrize("mode", MODES)
def test_the_numbers_of_a_mode_do_not_depend_on_the_other(tmp_path: Path, mode: str) -> None:
    """Trained alone by a worker that never heard of the other, against the tables of both."""
    paths = train(tmp_path, limit=1)
    (cell,) = visiting_order()[:1]
    alone = distill.runs._set_up(smaller("digits", True), None, "cpu", tmp_path / "alone").train(Run(cell, 0, (mode,)))
    assert list(alone.results) == [(seed, mode) for seed in (0, 1, 2)]
    found = AccuracyStore(tmp_path / "store" / "accuracies.sqlite").rows(read_table(paths[mode]).hash)
    for row, result in zip(found.itertuples(index=False), alone.results.values(), strict=True):
        assert (row.val, row.test, row.best, row.log_likelihood, row.status) == tuple(result)


@pytest.mark.parametrize("mode", MODES)
def test_only_the_network_of_which_a_training_is_missing_is_trained_again(
    tmp_path: Path, trained: list[Run], mode: str
) -> None:
    whole = train(tmp_path)
    before = {each: rows(path) for each, path in whole.items()}
    cell = visiting_order()[1]
    forget(tmp_path, whole, mode, cell, seed=2)
    trained.clear()
    again = train(tmp_path)
    assert trained == [Run(cell, 0, (mode,))]
    for each in MODES:
        pd.testing.assert_frame_equal(rows(again[each]), before[each], check_exact=True)


def test_apart_is_the_same_training_as_side_by_side_but_for_how_sums_are_rounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart = train(tmp_path / "apart")
    shrink(monkeypatch, apart=False)
    together = train(tmp_path / "together")
    for mode in MODES:
        joined = rows(apart[mode]).merge(rows(together[mode]), on=["cell", "seed"], suffixes=("", "_together"))
        assert len(joined) == 6
        assert (joined["log_likelihood"] - joined["log_likelihood_together"]).abs().max() < 1e-3
        assert (joined["test"] - joined["test_together"]).abs().max() < 2, "percent of 64 scenes: one falls otherwise"
        assert read_table(apart[mode]).hash != read_table(together[mode]).hash
    with pytest.raises(BadInput, match="was made by another recipe"):
        train(tmp_path / "apart")


def test_a_network_that_kills_its_worker_costs_the_other_nothing(
    tmp_path: Path, trained: list[Run], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, deadly = distill.runs.run, Run(visiting_order()[1], 0, ("distilled",))

    def lose(job: Any, tasks: Any, workers: int) -> Iterator[Any]:
        for task in tasks:
            if task == deadly:
                yield task, distill.runs.Died()
            else:
                yield from real(job, [task], 1)

    counted: list[tuple[int, int]] = []
    with monkeypatch.context() as patch:
        patch.setattr(distill.runs, "run", lose)
        patch.setattr(Progress, "advance", lambda bar, count, failed=0: counted.append((count, failed)))
        paths = train(tmp_path)
    assert f"cell {deadly.cell}, seeds 0-2: the worker process died twice" in capsys.readouterr().err
    assert counted == [(1, 0)] * 3 + [(3, 0)] * 3 + [(3, 3)], "three seeds of the teacher, four networks of three"
    assert [len(rows(paths[mode])) for mode in MODES] == [6, 3]
    trained.clear()
    assert [len(rows(path)) for path in train(tmp_path).values()] == [6, 6]
    assert trained == [deadly]


def test_tables_have_the_log_likelihood_and_are_byte_stable_without_the_store(
    tmp_path: Path, trained: list[Run]
) -> None:
    paths = train(tmp_path)
    files = [file for path in paths.values() for file in (path, recipe_path(path))]
    before = [file.read_bytes() for file in files]
    assert tuple(pd.read_csv(paths["vanilla"]).columns) == COLUMNS
    assert not rows(paths["vanilla"])["log_likelihood"].equals(rows(paths["distilled"])["log_likelihood"])
    for path in (tmp_path / "store").glob("accuracies.sqlite*"):
        path.unlink()
    trained.clear()
    train(tmp_path)
    assert trained == []
    assert [file.read_bytes() for file in files] == before


# killed


def train_until_killed(folder: Path, runs: int) -> None:
    """What the killed process below does: so many whole runs, and of the next one epoch, which is kept."""
    shrink(pytest.MonkeyPatch())
    begun: list[int] = []

    class Mortal(Lockstep):
        def save(self, path: Path) -> None:
            super().save(path)
            if len(begun) == runs + 1:
                os.kill(os.getpid(), signal.SIGKILL)

        def run(self, *arguments: Any, **options: Any) -> list[Trained]:
            begun.append(len(begun))
            return super().run(*arguments, **options | {"every": 0})

    pytest.MonkeyPatch().setattr(distill.runs, "Lockstep", Mortal)
    train(folder)


@pytest.mark.parametrize("runs", [1, 2])
def test_killed_in_the_network_of_either_mode_it_goes_on_to_the_same_bits(
    tmp_path: Path, trained: list[Run], fork: Fork, monkeypatch: pytest.MonkeyPatch, runs: int
) -> None:
    code, _, err = fork(train_until_killed, tmp_path / "killed", runs).end()
    assert code == -signal.SIGKILL, err
    checkpoints = tmp_path / "killed" / "store" / "checkpoints"
    assert len(list(checkpoints.iterdir())) == 1
    steps: list[int] = []
    real = Lockstep.advance

    def count(lockstep: Lockstep) -> None:
        steps.append(lockstep.step)
        real(lockstep)

    with monkeypatch.context() as patch:
        patch.setattr(Lockstep, "advance", count)
        resumed = train(tmp_path / "killed")
    left = [Run(cell, 0, (mode,)) for cell in visiting_order()[:2] for mode in MODES][runs:]
    assert trained == left
    assert steps == [1, *[0, 1] * (len(left) - 1)], "the run that was cut off goes on from its first epoch"
    assert not list(checkpoints.iterdir())
    assert_equal(train(tmp_path / "undisturbed"), resumed)
