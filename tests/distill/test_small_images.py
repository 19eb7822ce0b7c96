"""CIFAR of 16 pixels from end to end, on made-up files: labels of a recipe and a variant, scores, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from cifar_files import parquet_folder

from bench.store import ScoreStore
from distill.recipes import MODES
from distill.runs import visiting_order
from distill.tables import COLUMNS, read_table
from distill.teachers import load_teacher
from images import load
from images.cifar import Cifar
from proxies.registry import create
from tests.conftest import Command

pytestmark = pytest.mark.slow

RUN = ("--limit", 2, "--seeds", "1", "--workers", 1, "--device", "cpu", "--data", "data", "--output", "tables")
RUN = (*RUN, "--store", "a.sqlite")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Files of CIFAR-10 and CIFAR-100 with 200 and 7 images of noise."""
    for name in ("cifar10", "cifar100"):
        parquet_folder(tmp_path / "data", name, train=200)
    return tmp_path / "data"


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("benchmark", ["cifar10-16px", "cifar100-16px"])
def test_a_rehearsal_and_a_variant_of_it_train_and_share_their_vanilla_students(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, benchmark: str
) -> None:
    monkeypatch.setattr(Cifar, "_check_counts", lambda *_: None)  # the files pass for whole
    name = f"{benchmark}-rehearsal"
    ran = command("distill", "run", "--benchmark", name, *RUN)
    assert ran.code == 0, ran.err
    paths = {mode: tmp_path / "tables" / f"{name}-{mode}.csv.gz" for mode in MODES}
    assert ran.out.splitlines() == [f"wrote tables/{path.name}" for path in paths.values()]
    for path in paths.values():
        found = read_table(path)
        assert tuple(pd.read_csv(path).columns) == COLUMNS
        assert set(found.rows["cell"]) == set(visiting_order()[:2])
        assert (found.rows["log_likelihood"] < 0).all()
        assert set(found.rows["status"]) == {"ok"}
        assert (found.recipe["benchmark"], found.recipe["apart"]) == (benchmark, True)
    assert read_table(paths["distilled"]).recipe["teacher_hash"] == load_teacher(f"random:{benchmark}").hash

    ran = command("distill", "run", "--benchmark", f"{name}:kd_weight=0.5", *RUN)
    assert ran.code == 0, ran.err
    assert "6 of 6 trainings" in ran.err, "those of vanilla students were there"
    variant = {mode: tmp_path / "tables" / f"{name}_kd_weight=0.5-{mode}.csv.gz" for mode in MODES}
    assert variant["vanilla"].read_bytes() == paths["vanilla"].read_bytes()
    assert variant["distilled"].read_bytes() != paths["distilled"].read_bytes()

    where = ("--data", "data", "--output", "tables", "--store", "a.sqlite")
    told = json.loads(command("distill", "status", "--benchmark", f"{name}:kd_weight=0.5", *where, "--json").out)
    assert [(entry["mode"], entry["trainings"]) for entry in told] == [("vanilla", 6), ("distilled", 6)]
    before = {path: path.read_bytes() for path in variant.values()}
    assert command("distill", "export", "--benchmark", f"{name}:kd_weight=0.5", *where).code == 0
    assert {path: path.read_bytes() for path in variant.values()} == before


def test_cells_are_scored_on_a_part_of_the_images_by_its_name(command: Command, tmp_path: Path, data: Path) -> None:
    words = ("--benchmark", "cifar10-16px-subset", "--data", "data", "--limit", 3, "--workers", 1, "--device", "cpu")
    ran = command("bench", "run", "params,nwot,diswot", *words)
    assert ran.code == 0, ran.err
    store = ScoreStore(tmp_path / "results/store/scores.sqlite")
    for name in ("params", "nwot", "diswot"):
        (found,) = store.scores("cifar10-16px-subset", create(name))
        assert len(found.rows) >= 3
        assert {row.status for row in found.rows} == {"ok"}
    (of_images,) = store.scores("cifar10-16px-subset", create("nwot"))
    assert of_images.record["batch"] == {"size": 64, "hash": load("cifar10-16px-subset", data).batch(64, 0).hash}
    assert len({row.score for row in of_images.rows}) > 1


def test_without_the_files_of_the_source_it_is_said_which_are_missing(command: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for words in (["distill", "run"], ["bench", "run", "nwot"]):
        benchmark = "cifar10-16px" if words[0] == "bench" else "cifar10-16px-rehearsal"
        ended = command(*words, "--benchmark", benchmark, "--data", "empty", "--limit", 1)
        assert "no cifar10 in empty: --data wants a folder with cifar10/train-*.parquet" in ended.error
        assert ended.code == 1
