"""Published scores go back into a store, bit for bit, and a run goes on from there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.benchmarks import benchmark
from bench.published import export, read_manifest, restore
from bench.runner import Request, execute
from bench.store import ScoreStore
from common.errors import BadInput
from proxies.registry import create
from tests.conftest import ROOT, Command

pytestmark = pytest.mark.slow

PUBLISHED = ROOT / "results" / "scores"
DIGITS = benchmark("digits")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ScoreStore]:
    opened = ScoreStore(tmp_path / "new.sqlite")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of published scores: three proxies, two seeds, six cells."""
    folder = tmp_path_factory.mktemp("made")
    opened = ScoreStore(folder / "scores.sqlite")
    labels = ("diswot", "params", "nwot:init=kaiming")
    execute(Request(benchmark=DIGITS, proxies=tuple(map(create, labels)), seeds=(0, 1), limit=6), opened)
    export(opened, "digits", list(map(create, labels)), folder)
    opened.close()
    return folder / "digits"


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "theirs" / "digits"))


def test_what_is_published_in_this_tree_comes_back_to_the_byte(store: ScoreStore, tmp_path: Path) -> None:
    name = "resnet-cifar100"
    manifest = read_manifest(PUBLISHED / name)
    added = restore(store, PUBLISHED / name)
    assert added.ok == sum(entry["ok"] for entry in manifest.values()) > 1000
    assert added.failed == sum(entry["rows"] - entry["ok"] for entry in manifest.values())
    export(store, name, [create(entry["proxy"]) for entry in manifest.values()], tmp_path)
    assert read_manifest(tmp_path / name) == manifest
    for file in manifest:
        assert (tmp_path / name / file).read_bytes() == (PUBLISHED / name / file).read_bytes()


def test_another_teacher_and_fields_come_back_as_they_were(store: ScoreStore, tmp_path: Path) -> None:
    whole = read_manifest(PUBLISHED / "digits")
    teacher = next(file for file in whole if "@" in file)
    fields = next(file for file in whole if ":" in whole[file]["proxy"])
    (folder := tmp_path / "theirs" / "digits").mkdir(parents=True)
    for file in (teacher, fields):
        shutil.copy(PUBLISHED / "digits" / file, folder)
    manifest = {file: whole[file] for file in (teacher, fields)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    restore(store, folder)
    settings = manifest[teacher]["settings"].values()
    (record,) = {json.dumps(setting["record"]["teacher"]) for setting in settings}
    proxy = manifest[teacher]["proxy"].split("@")[0]
    export(store, "digits", [create(proxy)], tmp_path, json.loads(record))
    export(store, "digits", [create(manifest[fields]["proxy"])], tmp_path)
    assert read_manifest(tmp_path / "digits") == manifest
    for file in manifest:
        assert (tmp_path / "digits" / file).read_bytes() == (folder / file).read_bytes()


def test_a_run_goes_on_from_them(store: ScoreStore, folder: Path) -> None:
    restore(store, folder)
    request = Request(benchmark=DIGITS, proxies=(create("diswot"), create("params")), seeds=(0, 1), limit=6)
    assert execute(request, store).passes == 0
    more = Request(benchmark=DIGITS, proxies=(create("diswot"),), seeds=(0, 1, 2), limit=6)
    assert execute(more, store).passes == 6


def test_twice_adds_nothing_and_the_own_scores_stay(store: ScoreStore, folder: Path) -> None:
    assert restore(store, folder) == (34, 2, 0)  # kaiming nwot of a cell without a path is not finite
    assert restore(store, folder) == (0, 0, 0)
    assert len(store.overview()) == 6


def test_the_command_takes_stores_and_folders(folder: Path, command: Command) -> None:
    ended = command("bench", "merge", folder, "--store", "new.sqlite")
    assert ended.code == 0, ended.err
    assert "34 scores and 2 cells without one added to new.sqlite" in ended.out
    status = json.loads(command("bench", "status", "--store", "new.sqlite", "--json").out)
    assert {(row["proxy"], row["seed"], row["ok"] + row["failed"]) for row in status} == {
        (proxy, seed, 6) for proxy in ("diswot", "params", "nwot:init=kaiming") for seed in (0, 1)
    }


@pytest.mark.parametrize("damage", ["missing", "changed", "no manifest", "no list", "no settings", "another name"])
def test_a_damaged_folder_is_bad_input_and_adds_nothing(store: ScoreStore, folder: Path, damage: str) -> None:
    match damage:
        case "missing":
            (folder / "params.csv.gz").unlink()
        case "changed":
            shutil.copy(folder / "diswot.csv.gz", folder / "params.csv.gz")
        case "no manifest":
            (folder / "manifest.json").unlink()
        case "no list":
            (folder / "manifest.json").write_text("[1, 2]")
        case "no settings":
            manifest = read_manifest(folder)
            del manifest["params.csv.gz"]["settings"]
            (folder / "manifest.json").write_text(json.dumps(manifest))
        case _:
            folder = folder.rename(folder.with_name("digit"))
    with pytest.raises(BadInput, match=f"manifest|params|{folder}"):
        restore(store, folder)
    assert store.overview() == []
