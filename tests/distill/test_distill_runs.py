"""Accuracy tables: resumed equals undisturbed, nothing is trained twice, equal rows are equal bytes."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from conftest import Fork

import distill.runs
import images.digits
from common.errors import BadInput
from distill.recipes import MODES, Recipe, recipe, recipe_hash
from distill.runs import Done, Run, export, run_missing, status, to_train, visiting_order, wanted
from distill.store import AccuracyStore
from distill.tables import COLUMNS, read_table, recipe_path
from distill.teachers import Teacher, hardware, weights_hash
from distill.training import Lockstep, Trained
from spaces.draw import Draw
from spaces.nb201.cell import Cell
from spaces.nb201.equivalence import representatives
from spaces.nb201.network import CellNetwork
from spaces.nb201.sets import cell_set
from spaces.nb201.skeleton import CellSkeleton

pytestmark = pytest.mark.slow

SKELETON = CellSkeleton(channels=4, cells_per_stage=1, classes=10, size=16)
CELL = "|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"


def tiny_teacher(name: str) -> Teacher:
    network = CellNetwork(Cell.parse(CELL), SKELETON, Draw(seed=7)).eval().requires_grad_(False)
    return Teacher(network, weights_hash(network), {})


def shrink(patch: pytest.MonkeyPatch) -> None:
    """Two steps, a small network, an untrained teacher, few held-out scenes."""
    small = dataclasses.replace(distill.runs.recipe("digits"), skeleton=SKELETON, epochs=2, epoch_steps=1, batch=16)
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


def train(folder: Path, limit: int = 3, seeds: tuple[int, ...] = (0,), workers: int = 1) -> dict[str, Path]:
    store, output = folder / "store" / "accuracies.sqlite", folder / "tables"
    return run_missing("digits", list(seeds), limit, workers, store, output, None)


def tables(folder: Path) -> dict[str, Path]:
    return {mode: folder / "tables" / f"digits-{mode}.csv.gz" for mode in MODES}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where three cells were trained, with their tables and store."""
    folder, threads = tmp_path_factory.mktemp("undisturbed"), torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        train(folder)
    torch.set_num_threads(threads)
    return folder


@pytest.fixture
def whole(tiny: None, undisturbed: Path, tmp_path: Path) -> dict[str, Path]:
    """The tables of `undisturbed`, copied with their store into a folder that may be changed."""
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    return tables(tmp_path)


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

    def count(trainer: Any, task: Run) -> Done:
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
def test_a_limit_is_a_prefix_of_the_visiting_order_whatever_comes_after(limit: int, tmp_path: Path) -> None:
    plan = recipe("digits")
    tasks = wanted([0, 4], to_train("digits", limit, None, tmp_path), plan)
    assert list(dict.fromkeys(task.cell for task in tasks)) == visiting_order()[:limit]
    assert tasks == wanted([0, 4], to_train("digits", 200, None, tmp_path), plan)[: len(tasks)]
    assert len(set(tasks)) == len(tasks) == limit * 2


@pytest.mark.parametrize(
    ("seeds", "blocks"),
    [
        ([0], [0]),
        ([1], [0]),
        ([2], [0]),
        ([0, 2], [0]),
        ([0, 1, 2], [0]),
        ([3], [1]),
        ([2, 3], [0, 1]),
        ([8, 0], [0, 2]),
    ],
)
def test_every_cell_is_wanted_with_every_block_of_three_that_has_a_seed(seeds: list[int], blocks: list[int]) -> None:
    tasks = wanted(seeds, visiting_order()[:2], recipe("digits"))
    assert tasks == [Run(cell, block) for cell in visiting_order()[:2] for block in blocks]
    assert all(set(task.seeds) == {3 * task.block, 3 * task.block + 1, 3 * task.block + 2} for task in tasks)
    assert set(seeds) <= {seed for task in tasks for seed in task.seeds}


def test_without_a_limit_every_function_is_wanted(tmp_path: Path) -> None:
    assert sorted(to_train("digits", None, None, tmp_path)) == list(cell_set("functions"))


def test_chosen_cells_are_trained_as_their_representatives_less_those_of_the_sample(tmp_path: Path, tiny: None) -> None:
    sample = train(tmp_path, limit=1)
    stands_for = representatives("function")
    labelled = visiting_order()[0]
    other = next(cell for cell in range(len(stands_for)) if stands_for[cell] not in (cell, labelled))
    store, output = tmp_path / "store" / "accuracies.sqlite", tmp_path / "tables"
    before = {path: path.read_bytes() for path in sample.values()}
    chosen = run_missing("digits", [0], None, 1, store, output, None, chosen=[other, labelled, other])
    assert {path.name for path in chosen.values()} == {f"digits-chosen-{mode}.csv.gz" for mode in MODES}
    for mode, path in chosen.items():
        table = read_table(path)
        assert list(table.rows["cell"]) == [stands_for[other]] * 3
        assert table.recipe == read_table(sample[mode]).recipe | {"sample": "chosen cells"}
    export("digits", store, output, None)
    assert {path: path.read_bytes() for path in sample.values()} == before, "what was chosen is no part of the sample"
    assert [(entry["cells"], entry["wanted"]) for entry in status("digits-chosen", store, output, None)] == [(1, 1)] * 2
    with pytest.raises(BadInput, match="all chosen cells are in the tables of digits"):
        run_missing("digits", [0], None, 1, store, output, None, chosen=[labelled])


def test_a_chosen_cell_is_trained_to_the_numbers_that_the_sample_would_have(tmp_path: Path, tiny: None) -> None:
    sample = train(tmp_path / "sample", limit=1)
    folder = tmp_path / "chosen"
    chosen = run_missing(
        "digits", [0], None, 1, folder / "store" / "a.sqlite", folder, None, chosen=[visiting_order()[0]]
    )
    for mode in MODES:
        pd.testing.assert_frame_equal(rows(sample)[mode], rows(chosen)[mode], check_exact=True)


# -- training


@pytest.mark.usefixtures("tiny")
def test_both_tables_have_the_same_cells_and_seeds(tmp_path: Path) -> None:
    paths = train(tmp_path)
    assert paths == tables(tmp_path)
    found = {mode: read_table(path).rows for mode, path in paths.items()}
    for table in found.values():
        assert list(table.columns) == list(COLUMNS)
        assert [tuple(pair) for pair in table[["cell", "seed"]].to_numpy()] == sorted(
            (cell, seed) for cell in visiting_order()[:3] for seed in (0, 1, 2)
        )
        assert set(table["status"]) == {"ok"}
        assert table["val"].between(0, 100).all()
        assert table["test"].between(0, 100).all()
        assert table["best"].between(table["test"], 100).all()
        assert (table["log_likelihood"] < 0).all()
        assert set(table["epochs"]) == {2}
        assert (table["seconds"] > 0).all()
    assert not found["vanilla"][["val", "test"]].equals(found["distilled"][["val", "test"]])


@pytest.mark.usefixtures("tiny")
def test_the_recipe_beside_a_table_is_that_of_its_mode(tmp_path: Path) -> None:
    for mode, path in train(tmp_path, limit=1, seeds=(0,)).items():
        record = json.loads(recipe_path(path).read_text())
        assert record["recipe"]["mode"] == record["mode"] == mode
        assert record["recipe_hash"] == recipe_hash(record["recipe"]) == read_table(path).hash
        assert (record["cells"], record["seeds"]) == (1, [0, 1, 2])
        assert record["hardware"] == [hardware("cpu")]
        assert ("teacher_hash" in record["recipe"]) == (mode == "distilled")
    assert record["recipe"]["teacher_hash"] == tiny_teacher("").hash


@pytest.mark.usefixtures("tiny")
def test_a_smaller_run_is_part_of_a_larger_one(tmp_path: Path) -> None:
    small, large = rows(train(tmp_path / "a", limit=1, seeds=(4,))), rows(train(tmp_path / "b", limit=2, seeds=(0, 4)))
    for mode in MODES:
        joined = small[mode].merge(large[mode], on=["cell", "seed"], suffixes=("", "_large"))
        assert len(joined) == len(small[mode]) == 3
        for column in ("val", "test", "best", "log_likelihood"):
            assert (joined[column] == joined[f"{column}_large"]).all()


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("seeds", [(1,), (0, 2)])
def test_any_seed_of_a_block_trains_the_block(tmp_path: Path, undisturbed: Path, seeds: tuple[int, ...]) -> None:
    assert_equal(tables(undisturbed), train(tmp_path, seeds=seeds))


@pytest.mark.usefixtures("tiny")
def test_alone_is_the_distilled_student_of_each_seed_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same start, images and teacher as side by side with others: only sums are rounded otherwise."""
    beside = train(tmp_path / "beside", limit=2)
    plan = dataclasses.replace(distill.runs.recipe("digits"), distilled_only=True)
    monkeypatch.setattr(distill.runs, "recipe", lambda benchmark: plan)
    alone = train(tmp_path / "alone", limit=2, seeds=(0, 2))
    assert list(alone) == ["distilled"]
    assert [path.name for path in (tmp_path / "alone/tables").glob("*.csv.gz")] == ["digits-distilled.csv.gz"]
    joined = rows(alone)["distilled"].merge(rows(beside)["distilled"], on=["cell", "seed"], suffixes=("", "_beside"))
    assert sorted(joined["seed"]) == [0, 0, 2, 2]
    assert (joined["test"] - joined["test_beside"]).abs().max() < 2, "percent of 64 scenes: one falls the other way"
    store = AccuracyStore(tmp_path / "alone/store/accuracies.sqlite")
    assert len(store.rows(read_table(alone["distilled"]).hash)) == 4
    with pytest.raises(BadInput, match="was made by another recipe"):
        train(tmp_path / "beside", limit=2)


@pytest.mark.usefixtures("tiny")
def test_cells_are_trained_to_the_same_numbers_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    straight = train(tmp_path / "a", limit=2, seeds=(0, 3))
    order = visiting_order()
    with monkeypatch.context() as patch:
        patch.setattr(distill.runs, "visiting_order", lambda sees: order[1::-1] + order[2:])
        backwards = train(tmp_path / "b", limit=2, seeds=(0, 3))
    assert_equal(straight, backwards)


@pytest.mark.usefixtures("tiny")
def test_what_is_trained_is_not_trained_again(tmp_path: Path, trained: list[Run]) -> None:
    train(tmp_path, limit=2, seeds=(0, 3))
    assert len(trained) == len(set(trained)) == 4
    trained.clear()
    train(tmp_path, limit=3, seeds=(1, 2, 4))
    assert trained == [Run(visiting_order()[2], 0), Run(visiting_order()[2], 1)]


@pytest.mark.parametrize("mode", MODES)
def test_a_run_of_which_one_training_is_missing_is_done_again(
    tmp_path: Path, whole: dict[str, Path], trained: list[Run], mode: str
) -> None:
    before = rows(whole)
    cell = visiting_order()[1]
    with closing(sqlite3.connect(tmp_path / "store" / "accuracies.sqlite")) as database, database:
        words = "DELETE FROM accuracy WHERE recipe = ? AND cell = ? AND seed = 2"
        assert database.execute(words, (read_table(whole[mode]).hash, cell)).rowcount == 1
    for path in whole.values():
        path.unlink()
    again = rows(train(tmp_path))
    assert trained == [Run(cell, 0)]
    for each in MODES:
        pd.testing.assert_frame_equal(again[each], before[each], check_exact=True)


def test_what_stands_in_a_table_is_not_trained_again_without_the_store(
    tmp_path: Path, whole: dict[str, Path], trained: list[Run]
) -> None:
    before = {mode: path.read_bytes() for mode, path in whole.items()}
    for path in (tmp_path / "store").glob("accuracies.sqlite*"):
        path.unlink()
    second = train(tmp_path)
    assert trained == []
    assert {mode: path.read_bytes() for mode, path in second.items()} == before


def test_what_was_shipped_is_in_the_table_that_comes_to_stand_before_it(
    tmp_path: Path, whole: dict[str, Path], trained: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped, here = tmp_path / "shipped", tmp_path / "here"
    (shipped / "results").mkdir(parents=True)
    here.mkdir()
    before = {mode: path.read_bytes() for mode, path in whole.items()}
    (tmp_path / "tables").rename(shipped / "results/accuracies")
    monkeypatch.setattr("common.shipped.home", lambda: shipped)
    monkeypatch.chdir(here)

    def run(steps: int) -> dict[str, Path]:
        plan = dataclasses.replace(distill.runs.recipe("digits"), epoch_steps=steps)
        monkeypatch.setattr(distill.runs, "recipe", lambda benchmark: plan)
        return run_missing("digits", [0], 1, 1, here / "accuracies.sqlite", Path("results/accuracies"), None)

    assert {mode: path.read_bytes() for mode, path in run(1).items()} == before
    assert trained == []
    shutil.rmtree(here / "results")
    assert all(len(read_table(path).rows) == 3 for path in run(2).values()), "shipped ones of another recipe are not"


def test_tables_are_byte_stable(tmp_path: Path, whole: dict[str, Path]) -> None:
    files = [file for path in whole.values() for file in (path, recipe_path(path))]
    before = [file.read_bytes() for file in files]
    assert all(gzip.decompress(path.read_bytes()).endswith(b"\n") for path in whole.values())
    train(tmp_path)
    export("digits", tmp_path / "store" / "accuracies.sqlite", tmp_path / "tables", None)
    assert [file.read_bytes() for file in files] == before
    for mode in MODES:  # rows that came in another order
        database = AccuracyStore(tmp_path / "other.sqlite")
        table = read_table(whole[mode])
        rows_backwards = table.rows[list(COLUMNS)][::-1].itertuples(index=False, name=None)
        database.add(table.hash, rows_backwards, table.hardware)
    again = export("digits", tmp_path / "other.sqlite", tmp_path / "again", None)
    assert [file.read_bytes() for path in again.values() for file in (path, recipe_path(path))] == before


# -- stopped and killed


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("after", [0, 2])
def test_a_stopped_run_goes_on_to_the_tables_of_an_undisturbed_one(
    tmp_path: Path, undisturbed: Path, trained: list[Run], monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    counting = distill.runs._train

    def stop(trainer: Any, task: Run) -> Done:
        if len(trained) == after:
            raise KeyboardInterrupt
        return counting(trainer, task)

    with monkeypatch.context() as patch:
        patch.setattr(distill.runs, "_train", stop)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path)
    resumed = train(tmp_path)
    assert len(trained) == len(set(trained)) == 3, "finished trainings were kept and not done again"
    assert_equal(tables(undisturbed), resumed)


def train_until_killed(folder: Path, runs: int, epochs: int) -> None:
    """What the killed process below does: so many whole runs, and of the next so many epochs, each kept."""
    patch = pytest.MonkeyPatch()
    shrink(patch)
    real = distill.runs._train
    done: list[Run] = []

    class Mortal(Lockstep):
        def save(self, path: Path) -> None:
            super().save(path)
            if len(done) == runs + 1 and self.step == epochs:
                os.kill(os.getpid(), signal.SIGKILL)

        def run(self, *arguments: Any, **options: Any) -> list[Trained]:
            return super().run(*arguments, **options | {"every": 0})

    def count(trainer: Any, task: Run) -> Done:
        done.append(task)
        return real(trainer, task)

    patch.setattr(distill.runs, "_train", count)
    patch.setattr(distill.runs, "Lockstep", Mortal)
    train(folder)


@pytest.mark.usefixtures("tiny")
def test_a_killed_process_goes_on_to_the_tables_of_an_undisturbed_one(
    tmp_path: Path, undisturbed: Path, trained: list[Run], fork: Fork, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = fork(train_until_killed, tmp_path, 1, 1).end()
    assert code == -signal.SIGKILL, err
    checkpoints = tmp_path / "store" / "checkpoints"
    assert len(list(checkpoints.iterdir())) == 1
    steps: list[int] = []
    real = Lockstep.advance

    def count(lockstep: Lockstep) -> None:
        steps.append(lockstep.step)
        real(lockstep)

    monkeypatch.setattr(Lockstep, "advance", count)
    resumed = train(tmp_path)
    assert len(trained) == 2
    assert steps == [1, 0, 1], "the run that was cut off goes on from its first epoch"
    assert not list(checkpoints.iterdir())
    assert_equal(tables(undisturbed), resumed)


REAL_SET_UP = distill.runs._set_up


def set_up_small(recipe: Recipe, data: Path | None, device: str, scratch: Path) -> Any:
    """`_set_up` in a spawned worker, which knows nothing of the driver's patches."""
    shrink(pytest.MonkeyPatch())
    return REAL_SET_UP(recipe, data, device, scratch)


@pytest.mark.usefixtures("tiny", "forked_pool")
def test_two_workers_train_to_the_tables_of_one(
    tmp_path: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distill.runs, "_set_up", set_up_small)
    assert_equal(tables(undisturbed), train(tmp_path, workers=2))


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
    assert all(len(read_table(path).rows) == 3 for path in elsewhere.values()), "recipes share a store, never a table"


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

    def diverge(trainer: Any, task: Run) -> Done:
        done = real(trainer, task)
        if task.cell == bad:
            done.results[1, "distilled"] = Trained(nan, nan, nan, nan, "diverged")
        return done

    with monkeypatch.context() as patch:
        patch.setattr(distill.runs, "_train", diverge)
        paths = train(tmp_path, limit=3)
    before = {mode: path.read_bytes() for mode, path in paths.items()}
    table = read_table(paths["distilled"]).rows.set_index(["cell", "seed"])
    assert table.loc[(bad, 1), "status"] == "diverged"
    assert table.loc[(bad, 1), ["val", "test", "best", "log_likelihood"]].isna().all()
    assert set(table.drop((bad, 1))["status"]) == set(read_table(paths["vanilla"]).rows["status"]) == {"ok"}
    (of_vanilla, of_distilled) = status("digits", tmp_path / "store" / "accuracies.sqlite", tmp_path / "tables", None)
    assert (of_vanilla["failed"], of_distilled["failed"]) == (0, 1)
    (tmp_path / "store" / "accuracies.sqlite").unlink()
    trained.clear()
    train(tmp_path, limit=3)
    assert trained == [], "divergence is a result"
    assert {mode: path.read_bytes() for mode, path in paths.items()} == before


@pytest.mark.usefixtures("tiny")
def test_a_training_that_kills_its_worker_leaves_no_row_and_is_tried_again(
    tmp_path: Path, trained: list[Run], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = distill.runs.run
    deadly = Run(visiting_order()[1], 1)

    def lose(job: Any, tasks: Any, workers: int) -> Iterator[Any]:
        for task in tasks:
            if task == deadly:
                yield task, distill.runs.Died()
            else:
                yield from real(job, [task], 1)

    with monkeypatch.context() as patch:
        patch.setattr(distill.runs, "run", lose)
        paths = train(tmp_path, limit=2, seeds=(4,))
    assert f"cell {deadly.cell}, seeds 3-5: the worker process died twice" in capsys.readouterr().err
    assert [len(read_table(paths[mode]).rows) for mode in MODES] == [3, 3]
    trained.clear()
    train(tmp_path, limit=2, seeds=(4,))
    assert trained == [deadly]


def test_export_never_replaces_a_table_by_one_with_fewer_rows(tmp_path: Path, whole: dict[str, Path]) -> None:
    before = {mode: path.read_bytes() for mode, path in whole.items()}
    with suppress(BadInput):
        export("digits", tmp_path / "fresh.sqlite", tmp_path / "tables", None)
    assert {mode: path.read_bytes() for mode, path in whole.items()} == before


@pytest.mark.usefixtures("tiny")
def test_teacher_logits_of_other_images_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path, limit=1, seeds=(0,))
    monkeypatch.setattr(images.digits, "NOISE", 0.3)
    run_missing("digits", [0], 1, 1, tmp_path / "store" / "accuracies.sqlite", tmp_path / "other", None)
    files = (tmp_path / "store" / "teacher-logits").glob("*.npy")
    assert len({hashlib.sha256(file.read_bytes()).hexdigest() for file in files}) == 2 * 3
