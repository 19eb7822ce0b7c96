"""Labels come from tables and files as they stand there, or from neither with one line that says why."""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.read.columns import label_cells
from analysis.read.labels import Labels, load_labels
from common.errors import BadInput, BadUsage
from distill.tables import COLUMNS, OPTIONAL, AccuracyTable, read_table, recipe_path, table_path, write_table
from spaces.nb201.cell import cell_at
from spaces.nb201.equivalence import members, representatives
from spaces.nb201.sets import cell_set
from spaces.nb201.space import NB201

RECIPE = {"steps": 7, "teacher_hash": "0123456789abcdef"}
Row = tuple[int, int, float | None, float | None, str]


def write(folder: Path, mode: str, rows: list[Row], recipe: dict[str, Any] = RECIPE) -> Path:
    """A table of rows (cell, seed, val, test, status)."""
    columns = ["cell", "seed", "val", "test", "status"]
    frame = pd.DataFrame(rows, columns=columns).assign(best=50, log_likelihood=-1, epochs=1, seconds=0.5)
    path = table_path("digits", mode, folder)
    write_table(path, AccuracyTable(frame, recipe), {"mode": mode})
    return path


DISTILLED: list[Row] = [
    (5, 0, 1.0, 80.0, "ok"),
    (5, 1, 2.0, 82.0, "ok"),
    (2, 0, 3.0, 70.0, "ok"),
    (2, 1, None, None, "diverged"),
    (9, 0, 4.0, 60.0, "ok"),
]
VANILLA: list[Row] = [
    (5, 0, 1.0, 75.0, "ok"),
    (5, 1, 2.0, 79.5, "ok"),
    (2, 0, 3.0, 71.0, "ok"),
    (2, 1, 4.0, 72.0, "ok"),
    (7, 0, 5.0, 50.0, "ok"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "distilled", DISTILLED)
    write(tmp_path, "vanilla", VANILLA)
    return tmp_path


def as_dict(labels: Labels) -> dict[tuple[int, int], float]:
    stacked = labels.by_seed.stack().dropna()
    return {(int(cell), int(seed)): value for (cell, seed), value in stacked.items()}


# tables


@pytest.mark.slow
def test_a_tables_test_accuracies_are_labels_by_cell_and_seed(folder: Path) -> None:
    labels = load_labels("distilled", "digits", folder)
    assert as_dict(labels) == {(5, 0): 80.0, (5, 1): 82.0, (2, 0): 70.0, (9, 0): 60.0}
    assert list(labels.by_seed.index) == [2, 5, 9]
    assert labels.of_functions
    assert labels.quantity == "distilled accuracy, %"
    assert labels.mean.to_dict() == {2: 70.0, 5: 81.0, 9: 60.0}
    assert as_dict(load_labels("vanilla", "digits", folder))[2, 1] == 72.0


@pytest.mark.slow
def test_the_gain_is_distilled_minus_vanilla_seed_by_seed_where_both_trained(folder: Path) -> None:
    labels = load_labels("gain", "digits", folder)
    assert as_dict(labels) == {(5, 0): 5.0, (5, 1): 2.5, (2, 0): -1.0}
    assert labels.mean.to_dict() == {2: -1.0, 5: 3.75}
    assert labels.quantity == "gain of distillation, points"


@pytest.mark.slow
def test_the_source_names_steps_and_teacher(folder: Path) -> None:
    assert load_labels("distilled", "digits", folder).source == "7 steps, teacher 01234567"


@pytest.mark.slow
def test_rows_that_did_not_finish_are_dropped_even_where_they_hold_numbers(tmp_path: Path) -> None:
    write(tmp_path, "vanilla", VANILLA)
    for status in ("diverged", "error"):
        write(tmp_path, "distilled", [*DISTILLED[:3], (3, 0, 10.0, 10.0, status)])
        assert 3 not in load_labels("distilled", "digits", tmp_path).by_seed.index


def test_a_table_survives_writing_and_reading(tmp_path: Path) -> None:
    path = write(tmp_path, "distilled", DISTILLED)
    table = read_table(path)
    assert table.recipe == RECIPE
    expected = sorted(DISTILLED)
    found = table.rows[["cell", "seed", "val", "test", "status"]].itertuples(index=False, name=None)
    for row, wanted in zip(found, expected, strict=True):
        for a, b in zip(row, wanted, strict=True):
            assert a == b or (b is None and math.isnan(a))


@pytest.mark.slow
def test_equal_rows_in_another_order_give_equal_bytes(tmp_path: Path) -> None:
    first = write(tmp_path / "a", "distilled", DISTILLED)
    second = write(tmp_path / "b", "distilled", DISTILLED[::-1])
    assert first.read_bytes() == second.read_bytes()
    assert recipe_path(first).read_bytes() == recipe_path(second).read_bytes()


@pytest.mark.parametrize("against", ["distilled", "gain"])
def test_a_missing_table_says_how_to_make_it(against: str, tmp_path: Path) -> None:
    write(tmp_path, "vanilla", VANILLA)
    with pytest.raises(
        BadInput,
        match=r"no accuracy table .*digits-distilled\.csv\.gz: make it with `python -m distill run --benchmark digits`"
        r", or import .*`python -m analysis import FORMAT FILE --dataset DATASET --name digits-distilled`",
    ):
        load_labels(against, "digits", tmp_path)


@pytest.mark.slow
def test_a_table_without_its_recipe_is_a_missing_table(folder: Path) -> None:
    recipe_path(table_path("digits", "distilled", folder)).unlink()
    with pytest.raises(BadInput, match=r"has no digits-distilled\.json beside it: restore that"):
        load_labels("distilled", "digits", folder)


def damage(data: bytes) -> dict[str, bytes]:
    flipped = bytearray(data)
    for k in range(len(data) // 2, len(data) // 2 + 4):
        flipped[k] ^= 0xFF
    return {"truncated": data[: len(data) // 2], "flipped": bytes(flipped), "foreign": b"not gzip", "empty": b""}


@pytest.mark.parametrize("kind", ["truncated", "flipped", "foreign", "empty"])
def test_a_damaged_table_is_bad_input_that_names_it(kind: str, tmp_path: Path) -> None:
    rows: list[Row] = [(cell, 0, 1.0, float(value), "ok") for cell, value in enumerate(np.arange(200) ** 2 % 97)]
    path = write(tmp_path, "distilled", rows)
    path.write_bytes(damage(path.read_bytes())[kind])
    with pytest.raises(BadInput, match=r"digits-distilled\.csv\.gz"):
        load_labels("distilled", "digits", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("text", ["{", "{}", '{"other": 1}', ""])
def test_a_damaged_recipe_is_bad_input(text: str, folder: Path) -> None:
    recipe_path(table_path("digits", "distilled", folder)).write_text(text)
    with pytest.raises(BadInput, match=r"cannot read .*digits-distilled\.json \(.*\): restore it"):
        load_labels("distilled", "digits", folder)


@pytest.mark.parametrize("column", [column for column in COLUMNS if column not in OPTIONAL])
def test_a_table_that_lacks_a_column_is_bad_input_that_names_it(column: str, folder: Path) -> None:
    path = table_path("digits", "distilled", folder)
    path.write_bytes(gzip.compress(pd.read_csv(path).drop(columns=column).to_csv(index=False).encode()))
    with pytest.raises(BadInput, match=f"no column '{column}'"):
        load_labels("distilled", "digits", folder)


def test_a_table_that_names_a_training_twice_is_bad_input(tmp_path: Path) -> None:
    write(tmp_path, "distilled", [*DISTILLED, (5, 0, 1.0, 81.0, "ok")])
    with pytest.raises(BadInput):
        load_labels("distilled", "digits", tmp_path)


def test_vanilla_labels_need_no_distilled_table(tmp_path: Path) -> None:
    write(tmp_path, "vanilla", VANILLA, {"steps": 7})
    labels = load_labels("vanilla", "digits", tmp_path)
    assert "teacher" not in labels.source


def test_the_steps_of_a_recipe_by_epochs_are_their_product(tmp_path: Path) -> None:
    write(tmp_path, "vanilla", VANILLA, {"epochs": 2, "epoch_steps": 225})
    assert load_labels("vanilla", "digits", tmp_path).source == "450 steps"


IMPORTED = {"format": "csv", "file": "theirs.csv", "dataset": "cifar100", "epochs": 200, "space": "nb201"}


def test_what_was_imported_in_the_place_of_a_table_labels_the_cells_themselves(folder: Path) -> None:
    write(folder, "vanilla", VANILLA, IMPORTED)
    labels = load_labels("vanilla", "digits", folder)
    assert not labels.of_functions
    assert labels.source == "theirs.csv, cifar100, 200 epochs"
    assert load_labels("distilled", "digits", folder).of_functions


def test_a_gain_is_of_trainings_that_belong_together(folder: Path) -> None:
    write(folder, "vanilla", VANILLA, IMPORTED)
    with pytest.raises(BadInput, match="one of the tables of digits is imported"):
        load_labels("gain", "digits", folder)


def test_networks_of_another_space_are_no_cells(folder: Path) -> None:
    path = write(folder, "distilled", DISTILLED, IMPORTED | {"space": "resnet"})
    for against in ("distilled", "gain", str(path)):
        with pytest.raises(BadInput, match=r"digits-distilled\.csv\.gz labels networks of the space 'resnet'"):
            load_labels(against, "digits", folder)


# files


@pytest.mark.slow
def test_a_table_by_its_path_is_what_it_is_by_its_name(folder: Path) -> None:
    by_name = load_labels("distilled", "digits", folder)
    by_path = load_labels(str(table_path("digits", "distilled", folder)), "digits")
    assert as_dict(by_path) == as_dict(by_name)
    assert (by_path.of_functions, by_path.source) == (True, "7 steps, teacher 01234567")
    assert by_path.quantity == "accuracy, % (digits-distilled)"


@pytest.mark.slow
def test_rows_of_a_table_by_its_path_that_did_not_finish_are_dropped(tmp_path: Path) -> None:
    path = write(tmp_path, "distilled", [*DISTILLED, (3, 0, 10.0, 10.0, "diverged")])
    assert 3 not in load_labels(str(path), "digits").by_seed.index
    older = pd.read_csv(path).drop(columns=list(OPTIONAL))
    path.write_bytes(gzip.compress(older.to_csv(index=False).encode()))
    assert 3 not in load_labels(str(path), "digits").by_seed.index


@pytest.mark.slow
def test_an_imported_table_by_its_path_labels_the_cells_themselves(tmp_path: Path) -> None:
    labels = load_labels(str(write(tmp_path, "distilled", DISTILLED, IMPORTED)), "digits")
    assert not labels.of_functions
    assert labels.source == "theirs.csv, cifar100, 200 epochs"


@pytest.mark.slow
@pytest.mark.parametrize("text", ["{}", "[]", '{"recipe": 3}', '{"other": 1}'])
def test_a_json_without_a_recipe_is_somebody_elses(text: str, folder: Path) -> None:
    path = table_path("digits", "distilled", folder)
    recipe_path(path).write_text(text)
    labels = load_labels(str(path), "digits")
    assert (labels.of_functions, labels.source) == (False, "a file that names no data set")


def test_a_recipe_that_cannot_be_read_is_bad_input(folder: Path) -> None:
    path = table_path("digits", "distilled", folder)
    recipe_path(path).write_text('{"recipe": {')
    with pytest.raises(
        BadInput,
        match=r"cannot read .*digits-distilled\.json \(.*\): restore it, the recipe of digits-distilled\.csv\.gz",
    ):
        load_labels(str(path), "digits")


def test_a_file_with_seeds_has_a_column_for_each(tmp_path: Path) -> None:
    labels = load_labels(csv(tmp_path, "index,seed,accuracy\n3,777,1\n3,888,2\n4,777,5\n4,888,\n"), "digits")
    assert as_dict(labels) == {(3, 777): 1.0, (3, 888): 2.0, (4, 777): 5.0}
    assert labels.mean.to_dict() == {3: 1.5, 4: 5.0}


def test_a_column_status_of_a_file_that_is_no_table_means_nothing(tmp_path: Path) -> None:
    labels = load_labels(csv(tmp_path, "index,accuracy,status\n3,1.5,done\n4,2.5,ok\n"), "digits")
    assert as_dict(labels) == {(3, 0): 1.5, (4, 0): 2.5}


def csv(folder: Path, text: str, name: str = "labels.csv") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


CELLS = (9930, 0, 15624)


@pytest.mark.slow
@pytest.mark.parametrize("value", ["accuracy", "test"])
@pytest.mark.parametrize("key", ["cell", "index", "arch"])
def test_a_file_names_cells_in_three_ways_and_accuracies_in_two(key: str, value: str, tmp_path: Path) -> None:
    names = [str(cell_at(index)) if key == "arch" else str(index) for index in CELLS]
    lines = [f"{key},other,{value}", *(f"{name},x,{k}.5" for k, name in enumerate(names))]
    labels = load_labels(csv(tmp_path, "\n".join(lines) + "\n"), "digits")
    assert as_dict(labels) == {(9930, 0): 0.5, (0, 0): 1.5, (15624, 0): 2.5}
    assert list(labels.by_seed.index) == sorted(CELLS)
    assert not labels.of_functions


@pytest.mark.slow
@pytest.mark.parametrize("key", ["cell", "index", "arch"])
def test_official_strings_and_indices_may_be_mixed_in_any_key_column(key: str, tmp_path: Path) -> None:
    labels = load_labels(csv(tmp_path, f"{key},accuracy\n{cell_at(3)},1\n4,2\n {cell_at(5)} ,3\n"), "digits")
    assert as_dict(labels) == {(3, 0): 1.0, (4, 0): 2.0, (5, 0): 3.0}


def test_a_compressed_file_is_read_and_empty_accuracies_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv.gz"
    path.write_bytes(gzip.compress(b"index,accuracy\n3,1.5\n4,\n5,2.5\n"))
    assert as_dict(load_labels(str(path), "digits")) == {(3, 0): 1.5, (5, 0): 2.5}


MALFORMED = "|nor_conv_3x3~0|+|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,accuracy\n3,1\n", "has no cell column: expected one of cell, index, arch, found name, accuracy"),
        ("index,acc\n3,1\n", "has no accuracy column: expected one of accuracy, test, found index, acc"),
        ("index,accuracy\n3,1\n4,good\n", "line 3, column 'accuracy': 'good' is not a number"),
        ("index,accuracy\n3,1\n4,\n5,71.2%\n", "line 4, column 'accuracy': '71.2%' is not a number"),
        ("index,accuracy\n3,1\n4,inf\n", "line 3, column 'accuracy': 'inf' is not a finite number"),
        ("index,accuracy\n3,True\n4,False\n", "line 2, column 'accuracy': 'True' is not a number"),
        ("index,val,accuracy\n3,60,70\n4,x,70\n", "line 3, column 'val': 'x' is not a number"),
        ("index,accuracy\n9785.0,60\n", "line 2, column 'index': '9785.0' has a decimal point: write the index"),
        ("cell,accuracy\n3,60\n1.0,70\n", "line 3, column 'cell': '1.0' has a decimal point"),
        ("cell,accuracy\n3,60\n,70\n", "line 3, column 'cell': is empty: name a cell"),
        ("cell,seed,accuracy\n3,1.0,70\n", "line 2, column 'seed': '1.0' is not a whole number"),
        (f"arch,accuracy\n{cell_at(0)},1\n{MALFORMED},2\n", "line 3, column 'arch': malformed cell .*node 2"),
        (
            f"arch,accuracy\n{str(cell_at(0)).replace('skip_connect', 'skip', 1)},1\n",
            "line 2, column 'arch': .*unknown operation",
        ),
        (
            "index,accuracy\n3,1\n4,1\n15625,2\n",
            "line 4, column 'index': cell index 15625 is out of range",
        ),
        ("index,accuracy\n-1,1\n", "line 2, column 'index': cell index -1 is out of range"),
        ("index,accuracy\n3,1\n4,1\n3,2\n", r"names cell 3 \(\|.*\) more than once: keep one row a cell"),
        (f"cell,accuracy\n3,1\n{cell_at(3)},2\n", "names cell 3 .* more than once"),
        (
            "index,seed,accuracy\n3,7,1\n3,8,1\n3,7,2\n",
            "names cell 3 .* more than once with seed 7: keep one row a cell and seed",
        ),
        ("index,seed,accuracy\n3,7.5,1\n", "line 2, column 'seed': '7.5' is not a whole number"),
        ("index,seed,accuracy\n3,,1\n3,2,1\n", "line 2, column 'seed': 'nan' is not a whole number"),
        ("index,seed,accuracy\n3,x,1\n", "line 2, column 'seed': 'x' is not a number"),
        (f"index,arch,accuracy\n3,{cell_at(3)},1\n4,{cell_at(5)},1\n", "line 3: '4' and '.*' are different cells"),
        ("cell,index,accuracy\n3,4,1\n", "line 2: '3' and '4' are different cells of the space 'nb201'"),
        ("", "cannot read .*: expected CSV"),
        ('index,accuracy\n"3,1\n', "cannot read .*: expected CSV"),
    ],
)
def test_a_file_that_does_not_label_cells_is_bad_input_that_says_where(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=message) as error:
        load_labels(csv(tmp_path, text), "digits")
    assert "labels.csv" in str(error.value)


def test_a_name_that_is_neither_a_table_nor_a_file_is_bad_usage_that_lists_the_tables(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="'distiled': neither distilled, vanilla, gain nor a file"):
        load_labels("distiled", "digits")
    with pytest.raises(BadUsage, match="neither"):
        load_labels(str(tmp_path), "digits")


@pytest.mark.parametrize("kind", ["truncated", "foreign"])
def test_a_damaged_file_is_bad_input(kind: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv.gz").write_bytes(damage(compressed())[kind])
    with pytest.raises(BadInput, match=r"cannot read .*: expected CSV"):
        load_labels(str(tmp_path / "labels.csv.gz"), "digits")


def compressed() -> bytes:
    values = np.random.default_rng(0).uniform(size=2000)
    return gzip.compress(b"index,accuracy\n" + b"".join(b"%d,%.9f\n" % (k, v) for k, v in enumerate(values)))


def test_a_file_damaged_in_the_middle_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "labels.csv.gz").write_bytes(damage(compressed())["flipped"])
    with pytest.raises(BadInput, match=r"cannot read .*: expected CSV"):
        load_labels(str(tmp_path / "labels.csv.gz"), "digits")


def test_an_empty_cell_is_blamed_on_its_own_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="line 3, column 'index': "):
        load_labels(csv(tmp_path, "index,accuracy\n3,1\n,2\n5,3\n"), "digits")


def test_an_infinite_accuracy_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        load_labels(csv(tmp_path, "index,accuracy\n3,1\n4,inf\n5,3\n"), "digits")


# from functions to cells


def of_functions(values: dict[int, float]) -> Labels:
    return Labels("test", pd.DataFrame({0: values}), of_functions=True, source="", space=NB201)


def two_classes() -> tuple[int, int]:
    """A class of several cells, some of them not `valid`, and a class of one."""
    several = next(
        r for r, cells in members("function").items() if len(cells) > 3 and not cell_at(cells[-1]).is_valid()
    )
    return several, next(r for r, cells in members("function").items() if len(cells) == 1)


@pytest.mark.slow
def test_a_functions_label_holds_for_every_cell_of_its_class_in_all() -> None:
    several, single = two_classes()
    found = label_cells(of_functions({several: 7.0, single: 8.0}), "all")
    assert found.to_dict() == dict.fromkeys(members("function")[several], 7.0) | {single: 8.0}


def test_in_functions_it_is_the_representatives_label_alone() -> None:
    several, single = two_classes()
    found = label_cells(of_functions({several: 7.0, single: 8.0}), "functions")
    assert found.to_dict() == {several: 7.0, single: 8.0}


def test_in_valid_it_holds_for_the_valid_members() -> None:
    several, _ = two_classes()
    found = label_cells(of_functions({several: 7.0}), "valid")
    assert set(found.index) == set(members("function")[several]) & set(cell_set("valid"))
    assert 0 < len(found) < len(members("function")[several])


@pytest.mark.slow
def test_a_table_of_every_function_labels_every_cell() -> None:
    labels = of_functions({index: float(index) for index in cell_set("functions")})
    found = label_cells(labels, "all")
    assert list(found.index) == list(range(15625))
    assert np.array_equal(found.to_numpy(), np.array(representatives("function"), dtype=float))


@pytest.mark.slow
def test_labels_of_single_cells_hold_for_those_cells_alone(tmp_path: Path) -> None:
    several, _ = two_classes()
    other = members("function")[several][1]
    labels = load_labels(csv(tmp_path, f"index,accuracy\n{several},1\n{other},2\n"), "digits")
    assert label_cells(labels, "all").to_dict() == {several: 1.0, other: 2.0}
    assert label_cells(labels, "functions").to_dict() == {several: 1.0}


def test_cells_may_be_chosen_by_a_file(tmp_path: Path) -> None:
    several, single = two_classes()
    chosen = members("function")[several][-1]
    file = csv(tmp_path, f"{chosen}\n", "cells.txt")
    assert label_cells(of_functions({several: 7.0, single: 8.0}), file).to_dict() == {chosen: 7.0}
