"""Accuracy tables: resumed equals undisturbed, nothing is trained twice, equal rows are equal bytes."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import distill.runs
import images.digits
from common.database import open_database
from common.errors import BadInput
from distill.recipes import MODES, recipe_hash
from distill.runs import AccuracyStore, Run, export, run_missing, visiting_order, wanted
from distill.tables import COLUMNS, read_table, recipe_path, table_path
from distill.teachers import Teacher, weights_hash
from distill.training import Trained
from spaces.nb201 import Cell, cell_set
from spaces.network import CellNetwork
from spaces.skeleton import Skeleton
from spaces.supernet import Supernet

SKELETON = Skeleton(channels=4, cells_per_stage=1, classes=10, size=16)
CELL = "|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"


def tiny_teacher(name: str) -> Teacher:
    network = CellNetwork(Cell.parse(CELL), Supernet(SKELETON, seed=7)).eval().requires_grad_(False)
    return Teacher(network, weights_hash(network), {})


def shrink(patch: pytest.MonkeyPatch) -> None:
    """Two steps, a small network, an untrained teacher, few held-out scenes."""
    small = dataclasses.replace(distill.runs.recipe("digits"), skeleton=SKELETON, steps=2, batch=16)
    patch.setattr(distill.runs, "recipe", lambda benchmark: small)
    patch.setattr(distill.runs, "load_teacher", tiny_teacher)
    for split in ("val", "test"):
        patch.setitem(images.digits.SCENES, split, 64)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    threads = torch.get_num_threads()
    shrink(monkeypatch)
    yield
    torch.set_num_threads(threads)


def train(folder: Path, limit: int = 3, seeds: tuple[int, ...] = (0, 1), workers: int = 1) -> dict[str, Path]:
    store, output = folder / "store" / "accuracies.sqlite", folder / "tables"
    return run_missing("digits", list(seeds), limit, workers, store, output, None)


def rows(paths: dict[str, Path]) -> dict[str, pd.DataFrame]:
    """The tables less what no two runs share."""
    return {mode: read_table(path).rows.drop(columns="seconds") for mode, path in paths.items()}


def assert_equal(first: dict[str, Path], second: dict[str, Path]) -> None:
    one, two = rows(first), rows(second)
    for mode in MODES:
        pd.testing.assert_frame_equal(one[mode], two[mode], check_exact=True)
        assert read_table(first[mode]).recipe == read_table(second[mode]).recipe


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Every training done in this process since."""
    done: list[Run] = []
    real = distill.runs._train

    def count(trainer: Any, task: Run) -> Trained:
        done.append(task)
        return real(trainer, task)

    monkeypatch.setattr(distill.runs, "_train", count)
    return done


# -- what is to be trained


def test_the_visiting_order_is_a_permutation_of_the_functions_that_never_changes() -> None:
    order = visiting_order()
    assert sorted(order) == list(cell_set("functions"))
    assert order == visiting_order()
    assert order is not visiting_order(), "a caller that changes its copy changes no other's"
    shuffled = list(cell_set("functions"))
    random.Random(201).shuffle(shuffled)
    assert order == shuffled


@pytest.mark.parametrize("limit", [1, 2, 7, 100])
def test_a_limit_is_a_prefix_of_the_visiting_order_whatever_comes_after(limit: int) -> None:
    tasks = wanted([0, 1], limit)
    assert list(dict.fromkeys(task.cell for task in tasks)) == visiting_order()[:limit]
    assert tasks == wanted([0, 1], 200)[: len(tasks)]
    assert len(set(tasks)) == len(tasks) == limit * 2 * 2


def test_every_cell_is_wanted_with_every_seed_in_both_modes() -> None:
    assert set(wanted([3, 5], 2)) == {
        Run(cell, seed, mode) for cell in visiting_order()[:2] for seed in (3, 5) for mode in MODES
    }
    assert len(wanted([0], None)) == len(cell_set("functions")) * 2


# -- training


@pytest.mark.usefixtures("tiny")
def test_both_tables_have_the_same_cells_and_seeds(tmp_path: Path) -> None:
    paths = train(tmp_path)
    assert paths == {mode: tmp_path / "tables" / f"digits-{mode}.csv.gz" for mode in MODES}
    tables = {mode: read_table(path).rows for mode, path in paths.items()}
    for table in tables.values():
        assert list(table.columns) == list(COLUMNS)
        assert [tuple(pair) for pair in table[["cell", "seed"]].to_numpy()] == sorted(
            (cell, seed) for cell in visiting_order()[:3] for seed in (0, 1)
        )
        assert set(table["status"]) == {"ok"}
        assert table["val"].between(0, 100).all()
        assert table["test"].between(0, 100).all()
    assert not tables["vanilla"][["val", "test"]].equals(tables["distilled"][["val", "test"]])


@pytest.mark.usefixtures("tiny")
def test_the_recipe_beside_a_table_is_that_of_its_mode(tmp_path: Path) -> None:
    for mode, path in train(tmp_path, limit=1, seeds=(0,)).items():
        record = json.loads(recipe_path(path).read_text())
        assert record["recipe"]["mode"] == record["mode"] == mode
        assert record["recipe_hash"] == recipe_hash(record["recipe"]) == read_table(path).hash
        assert (record["cells"], record["seeds"]) == (1, [0])
        assert ("teacher_hash" in record["recipe"]) == (mode == "distilled")
    assert record["recipe"]["teacher_hash"] == tiny_teacher("").hash


@pytest.mark.usefixtures("tiny")
def test_a_smaller_run_is_part_of_a_larger_one(tmp_path: Path) -> None:
    small, large = rows(train(tmp_path / "a", limit=2, seeds=(1,))), rows(train(tmp_path / "b", limit=4, seeds=(0, 1)))
    for mode in MODES:
        joined = small[mode].merge(large[mode], on=["cell", "seed"], suffixes=("", "_large"))
        assert len(joined) == len(small[mode]) == 2
        assert (joined["val"] == joined["val_large"]).all()
        assert (joined["test"] == joined["test_large"]).all()


@pytest.mark.usefixtures("tiny")
def test_what_is_trained_is_not_trained_again(tmp_path: Path, trained: list[Run]) -> None:
    train(tmp_path, limit=2)
    assert len(trained) == len(set(trained)) == 8
    trained.clear()
    train(tmp_path, limit=3)
    assert {task.cell for task in trained} == {visiting_order()[2]}
    assert len(trained) == 4


@pytest.mark.usefixtures("tiny")
def test_what_stands_in_a_table_is_not_trained_again_without_the_store(tmp_path: Path, trained: list[Run]) -> None:
    first = train(tmp_path, limit=2)
    before = {mode: path.read_bytes() for mode, path in first.items()}
    for path in (tmp_path / "store").glob("accuracies.sqlite*"):
        path.unlink()
    trained.clear()
    second = train(tmp_path, limit=2)
    assert trained == []
    assert {mode: path.read_bytes() for mode, path in second.items()} == before


@pytest.mark.usefixtures("tiny")
def test_tables_are_byte_stable(tmp_path: Path) -> None:
    paths = train(tmp_path)
    files = [file for path in paths.values() for file in (path, recipe_path(path))]
    before = [file.read_bytes() for file in files]
    assert all(gzip.decompress(path.read_bytes()).endswith(b"\n") for path in paths.values())
    train(tmp_path)
    export("digits", tmp_path / "store" / "accuracies.sqlite", tmp_path / "tables", None)
    assert [file.read_bytes() for file in files] == before
    for mode in MODES:  # rows that came in another order
        database = AccuracyStore(tmp_path / "other.sqlite")
        table = read_table(paths[mode])
        database.add(table.hash, table.rows[list(COLUMNS)][::-1].itertuples(index=False, name=None))
    again = export("digits", tmp_path / "other.sqlite", tmp_path / "again", None)
    assert [file.read_bytes() for path in again.values() for file in (path, recipe_path(path))] == before


# -- stopped and killed


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("after", [0, 5])
def test_a_stopped_run_goes_on_to_the_tables_of_an_undisturbed_one(
    tmp_path: Path, trained: list[Run], monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    undisturbed = train(tmp_path / "a")
    trained.clear()
    counting = distill.runs._train

    def stop(trainer: Any, task: Run) -> Trained:
        if len(trained) == after:
            raise KeyboardInterrupt
        return counting(trainer, task)

    with monkeypatch.context() as patch:
        patch.setattr(distill.runs, "_train", stop)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "b")
    resumed = train(tmp_path / "b")
    assert len(trained) == len(set(trained)) == 12, "finished trainings were kept and not done again"
    assert_equal(undisturbed, resumed)


def train_until_killed(folder: Path, after: int) -> None:
    """What the killed process below does."""
    patch = pytest.MonkeyPatch()
    shrink(patch)
    real, done = distill.runs._train, []

    def die(trainer: Any, task: Run) -> Trained:
        if len(done) == after:
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(task)
        return real(trainer, task)

    patch.setattr(distill.runs, "_train", die)
    train(folder)


@pytest.mark.usefixtures("tiny")
def test_a_killed_process_goes_on_to_the_tables_of_an_undisturbed_one(
    tmp_path: Path, trained: list[Run], environment: dict[str, str]
) -> None:
    code = "import sys, pathlib, test_distill_runs as t; t.train_until_killed(pathlib.Path(sys.argv[1]), 5)"
    path = os.pathsep.join([environment["PYTHONPATH"], str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "b"],
        env=environment | {"PYTHONPATH": path},
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    resumed = train(tmp_path / "b")
    assert len(trained) == 12 - 5
    assert_equal(train(tmp_path / "a"), resumed)


# -- what may not be mixed


@pytest.mark.usefixtures("tiny")
def test_a_table_of_another_recipe_is_refused_and_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = train(tmp_path, limit=1, seeds=(0,))
    before = {mode: path.read_bytes() for mode, path in paths.items()}
    other = dataclasses.replace(distill.runs.recipe("digits"), learning_rate=0.2)
    monkeypatch.setattr(distill.runs, "recipe", lambda benchmark: other)
    with pytest.raises(BadInput, match="was made by another recipe: move it away"):
        train(tmp_path, limit=2, seeds=(0,))
    assert {mode: path.read_bytes() for mode, path in paths.items()} == before
    elsewhere = run_missing("digits", [0], 1, 1, tmp_path / "store" / "accuracies.sqlite", tmp_path / "other", None)
    assert all(len(read_table(path).rows) == 1 for path in elsewhere.values()), "recipes share a store, never a table"


@pytest.mark.usefixtures("tiny")
def test_another_teacher_is_another_recipe_for_distilled_tables_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {mode: recipe_hash(record) for mode, record in distill.runs.describe("digits", None).items()}
    teacher = dataclasses.replace(tiny_teacher(""), hash="0" * 64)
    monkeypatch.setattr(distill.runs, "load_teacher", lambda name: teacher)
    after = {mode: recipe_hash(record) for mode, record in distill.runs.describe("digits", None).items()}
    assert before["vanilla"] == after["vanilla"]
    assert before["distilled"] != after["distilled"]


@pytest.mark.usefixtures("tiny")
def test_a_table_without_its_recipe_is_refused(tmp_path: Path) -> None:
    paths = train(tmp_path, limit=1, seeds=(0,))
    recipe_path(paths["vanilla"]).unlink()
    with pytest.raises(BadInput, match=r"digits-vanilla\.json"):
        train(tmp_path, limit=1, seeds=(0,))


# -- what did not work out


@pytest.mark.usefixtures("tiny")
def test_a_diverged_training_keeps_its_status_and_has_no_accuracy(
    tmp_path: Path, trained: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    nan, real = float("nan"), distill.runs._train
    bad = visiting_order()[1]

    def diverge(trainer: Any, task: Run) -> Trained:
        return Trained(nan, nan, 1.0, "diverged") if task.cell == bad else real(trainer, task)

    with monkeypatch.context() as patch:
        patch.setattr(distill.runs, "_train", diverge)
        paths = train(tmp_path, limit=3, seeds=(0,))
    before = {mode: path.read_bytes() for mode, path in paths.items()}
    for path in paths.values():
        table = read_table(path).rows.set_index("cell")
        assert table.loc[bad, "status"] == "diverged"
        assert table.loc[bad, ["val", "test"]].isna().all()
        assert set(table.drop(bad)["status"]) == {"ok"}
    (tmp_path / "store" / "accuracies.sqlite").unlink()
    trained.clear()
    train(tmp_path, limit=3, seeds=(0,))
    assert trained == [], "divergence is a result"
    assert {mode: path.read_bytes() for mode, path in paths.items()} == before


@pytest.mark.usefixtures("tiny")
def test_a_training_that_kills_its_worker_leaves_no_row_and_is_tried_again(
    tmp_path: Path, trained: list[Run], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = distill.runs.run
    deadly = Run(visiting_order()[1], 0, "distilled")

    def lose(job: Any, tasks: Any, workers: int) -> Iterator[Any]:
        for task in tasks:
            if task == deadly:
                yield task, distill.runs.Died()
            else:
                yield from real(job, [task], 1)

    with monkeypatch.context() as patch:
        patch.setattr(distill.runs, "run", lose)
        paths = train(tmp_path, limit=2, seeds=(0,))
    assert f"cell {deadly.cell}, seed 0, distilled" in capsys.readouterr().err
    assert [len(read_table(paths[mode]).rows) for mode in ("vanilla", "distilled")] == [2, 1]
    trained.clear()
    train(tmp_path, limit=2, seeds=(0,))
    assert trained == [deadly]


@pytest.mark.usefixtures("tiny")
def test_export_never_replaces_a_table_by_one_with_fewer_rows(tmp_path: Path) -> None:
    paths = train(tmp_path, limit=2, seeds=(0,))
    before = {mode: path.read_bytes() for mode, path in paths.items()}
    with suppress(BadInput):
        export("digits", tmp_path / "fresh.sqlite", tmp_path / "tables", None)
    assert {mode: path.read_bytes() for mode, path in paths.items()} == before


@pytest.mark.usefixtures("tiny")
def test_teacher_logits_of_other_images_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path, limit=1, seeds=(0,))
    monkeypatch.setattr(images.digits, "NOISE", 0.3)
    run_missing("digits", [0], 1, 1, tmp_path / "store" / "accuracies.sqlite", tmp_path / "other", None)
    files = (tmp_path / "store" / "teacher-logits").glob("*.npy")
    assert len({hashlib.sha256(file.read_bytes()).hexdigest() for file in files}) == 2


def test_rows_are_written_all_together_or_not_at_all(tmp_path: Path) -> None:
    database = AccuracyStore(tmp_path / "a.sqlite")

    with pytest.raises(sqlite3.IntegrityError, match="NOT NULL"):
        database.add("hash", [(1, 0, 50.0, 50.0, 1, 1.0, "ok"), (2, 0, 50.0, 50.0, 1, 1.0, None)])
    assert database.rows("hash").empty


def test_a_finished_training_is_on_disk_when_add_returns_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    database = AccuracyStore(path)
    database.add("hash", [(1, 0, 50.0, 60.0, 1, 1.0, "ok")])
    database.add("hash", [(1, 0, 99.0, 99.0, 1, 1.0, "ok")])
    other = open_database(path, version=1, schema=distill.runs._SCHEMA, create=False)
    assert other.execute("SELECT cell, seed, val, test FROM accuracy").fetchall() == [(1, 0, 50.0, 60.0)]
    assert AccuracyStore(path).rows("other hash").empty
    assert table_path("digits", "vanilla", tmp_path) == tmp_path / "digits-vanilla.csv.gz"
