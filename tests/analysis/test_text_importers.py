"""Accuracies in JSON, in depth files and in CSV become tables."""

from __future__ import annotations

import gzip
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from imported import same, stored

from analysis.importers import import_table
from analysis.read.labels import load_labels
from common.errors import BadInput
from distill.tables import read_table, recipe_path
from spaces.nb201.cell import cell_at
from spaces.resnet.space import RESNET

Command = Callable[..., Any]

# DisWOT's JSON


def test_a_json_of_accuracies_is_a_table_of_one_seed(tmp_path: Path) -> None:
    file = tmp_path / "dist_nb201_bench.json"
    file.write_text('{"9930": 74.25, "3": "71.5", "0": 1}')
    path, _ = import_table("diswot-json", file, "cifar100", output=tmp_path)
    assert path.name == "cifar100-dist_nb201_bench.csv.gz"
    rows = read_table(path).rows
    assert rows[["cell", "seed", "test"]].to_numpy().tolist() == [[0, 0, 1], [3, 0, 71.5], [9930, 0, 74.25]]
    assert rows[["val", "epochs", "seconds"]].isna().all(axis=None)
    told = json.loads(recipe_path(path).read_text())
    assert told["recipe"]["epochs"] is None
    assert told["columns"]["seed"] == "0: the source states none"
    labels = load_labels(str(path), "cifar100")
    assert labels.mean.to_dict() == {0: 1.0, 3: 71.5, 9930: 74.25}
    assert labels.source == "dist_nb201_bench.json, cifar100"


@pytest.mark.slow
def test_a_name_of_a_file_becomes_a_name_of_a_table(tmp_path: Path) -> None:
    for file, name in (("a b.v2.csv.gz", "cifar10-a_b.v2"), ("größe", "cifar10-gr_e"), ("x.txt", "cifar10-x")):
        (tmp_path / file).write_bytes(b"index,accuracy\n3,71.5\n")
        if file.endswith(".gz"):
            (tmp_path / file).write_bytes(gzip.compress(b"index,accuracy\n3,71.5\n"))
        path, _ = import_table("csv", tmp_path / file, "cifar10", output=tmp_path / "out")
        assert path.name == f"{name}.csv.gz"


def test_epochs_can_be_stated_where_a_file_has_none(tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text('{"3": 71.5}')
    path, _ = import_table("diswot-json", tmp_path / "f.json", "cifar100", epochs=240, output=tmp_path)
    assert b",240," in gzip.decompress(path.read_bytes())
    assert read_table(path).recipe["epochs"] == 240
    assert load_labels(str(path), "cifar100").source == "f.json, cifar100, 240 epochs"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"15625": 71.5}', "cell index 15625 is out of range: .* 0 to 15624"),
        ('{"-1": 71.5}', "cell index -1 is out of range"),
        ('{"3x": 71.5}', "malformed cell '3x'"),
        ('{"3": 71.5, "4": 70, "3": 71.5}', "names '3' twice"),
        ('{"3": 71.5, "03": 70}', "names cell 3 twice"),
        ('{"3": 0.715, "4": 0.7}', "look like fractions: give percent"),
        ('{"3": 171.5}', "index 3: 171.5 is not an accuracy in percent, 0 to 100"),
        ('{"3": -1}', "-1 is not an accuracy"),
        ('{"3": NaN}', "nan is not an accuracy"),
        ('{"3": Infinity}', "inf is not an accuracy"),
        ('{"3": true}', "True is not an accuracy"),
        ('{"3": null}', "None is not an accuracy"),
        ('{"3": [71.5]}', r"\[71.5\] is not an accuracy"),
        ('{"3": "good"}', "'good' is not an accuracy"),
        (f'{{"3": 1{"0" * 400}}}', "is not an accuracy"),
        ("[71.5]", "is not an object of"),
        ("{}", "is not an object of"),
        ('{"3": 71.5', "cannot read .* as JSON"),
        ("[" * 100_000, "cannot read .* as JSON"),
    ],
)
def test_a_json_that_is_something_else_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text(text)
    with pytest.raises(BadInput, match=message) as error:
        import_table("diswot-json", tmp_path / "f.json", "cifar100", output=tmp_path)
    assert "f.json" in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["f.json"]


# depth codes


def test_the_cell_of_a_network_is_its_depth_codes_place_in_lexicographic_order(tmp_path: Path) -> None:
    file = tmp_path / "depths.txt"
    file.write_text("777 70\n\n[7,1,3] 71.01\n 1 1 1 60.2\n[1, 1, 3]: 61\n1,3,1,62.5\n")
    path, _ = import_table("resnet-depths", file, "cifar100", output=tmp_path, name="resnet-distilled")
    assert {cell: test for (cell, _), (_, test) in stored(path).items()} == {0: 60.2, 1: 61, 4: 62.5, 49: 71.01, 63: 70}
    told = json.loads(recipe_path(path).read_text())
    assert told["recipe"]["space"] == "resnet"
    assert "lexicographic order" in told["columns"]["cell"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("713 71.01\n723 70\n", "line 2: '723 70' is not three depths of 1, 3, 5, 7 and an accuracy"),
        ("713\n", "line 1: '713' is not"),
        ("7130 71\n", "line 1"),
        ("713 71.01 3\n", "line 1"),
        ("713 x\n", "line 1: 'x' is not an accuracy"),
        ("713 nan\n", "line 1: 'nan' is not an accuracy"),
        ("713 101\n", "line 1: '101' is not an accuracy in percent"),
        ("713 0.7101\n111 0.6\n", "look like fractions"),
        ("713 71\n111 60\n[7,1,3] 71\n", r"line 3: depths \(7, 1, 3\) stand there for the second time"),
        ("\n", "is empty"),
    ],
)
def test_a_text_that_is_something_else_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_text(text)
    with pytest.raises(BadInput, match=message):
        import_table("resnet-depths", tmp_path / "f.txt", "cifar100", output=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["f.txt"]


@pytest.mark.slow
def test_networks_of_another_space_label_no_cells(tmp_path: Path, command: Command) -> None:
    (tmp_path / "f.txt").write_text("713 71.01\n111 60.2\n333 70.76\n")
    for name in ("depths", "digits-vanilla"):
        words = ("--dataset", "cifar100", "--name", name)
        assert command("analysis", "import", "resnet-depths", "f.txt", *words).code == 0
    for against in ("results/accuracies/depths.csv.gz", "vanilla"):
        ended = command("analysis", "correlate", "params", "--against", against)
        assert ended.code == 1
        assert "labels networks of the space 'resnet', and scores are of the space 'nb201'" in ended.error


def data(name: str) -> Path:
    file = Path(os.environ.get("DISWOT_DATA", "")) / name
    if "DISWOT_DATA" not in os.environ or not file.exists():
        pytest.skip(f"set DISWOT_DATA to a folder with {name}")
    return file


def test_diswots_own_depth_files_are_read(tmp_path: Path) -> None:
    for name, expected in (("vanilla", (69.13, 69.57)), ("distilled", (71.01, 70.76))):
        file = data(f"resnet_s0/{name}_accuracy.txt")
        path, _ = import_table("resnet-depths", file, "cifar100", output=tmp_path)
        found = stored(path)
        assert sorted(cell for cell, _ in found) == list(range(64))
        for code, accuracy in zip(("713", "333"), expected, strict=True):
            assert found[RESNET.resolve(code), 0][1] == accuracy


# CSV


@pytest.mark.slow
def test_a_csv_file_keeps_its_seeds(tmp_path: Path) -> None:
    lines = ["arch,seed,val,accuracy", f"{cell_at(7)},5,60,70", f"{cell_at(7)},6,,71", f"{cell_at(3)},5,50,51.25"]
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    path, _ = import_table("csv", tmp_path / "mine.csv", "cifar10", output=tmp_path)
    assert path.name == "cifar10-mine.csv.gz"
    same(stored(path), {(7, 5): (60, 70), (7, 6): (math.nan, 71), (3, 5): (50, 51.25)})
    assert load_labels(str(path), "cifar10").by_seed.columns.tolist() == [5, 6]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"index,arch,accuracy\n0,{cell_at(0)},50\n3,{cell_at(4)},50\n", "line 3: '3' and .* are different cells"),
        ("index,accuracy\n15625,50\n", "line 2, column 'index': cell index 15625 is out of range"),
        ("index,accuracy\n3,0.5\n4,1.0\n", "look like fractions"),
        ("index,accuracy\n3,50\n4,100.5\n", "cell 4, seed 0: 100.5 is not an accuracy in percent"),
        ("index,accuracy,val\n3,50,-1\n", "cell 3, seed 0: -1.* is not an accuracy in percent"),
        ("index,accuracy\n3,\n", "has cells and not one accuracy"),
    ],
)
def test_a_csv_file_that_is_something_else_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text(text)
    with pytest.raises(BadInput, match=message):
        import_table("csv", tmp_path / "f.csv", "cifar10", output=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["f.csv"]


@pytest.mark.slow
def test_the_published_csv_is_imported_whole(tmp_path: Path) -> None:
    file = data("nb201/cifar100_test_accuracy.csv")
    path, _ = import_table("csv", file, "cifar100", epochs=200, output=tmp_path)
    raw = pd.read_csv(file)
    found = read_table(path).rows
    assert len(found) == 15625
    assert np.abs(found["test"].to_numpy() - raw.sort_values("index")["accuracy"].to_numpy()).max() <= 5.1e-5
