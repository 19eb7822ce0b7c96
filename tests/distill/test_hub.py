"""A folder for a hub: the tables' numbers as parquet, a card that says what they mean, and `datasets` reads it."""

from __future__ import annotations

import gzip
import itertools
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Command

from common.errors import BadInput
from distill.hub import write_hub
from distill.recipes import MODES
from distill.tables import COLUMNS, AccuracyTable, read_table, table_path, write_table
from spaces.nb201.cell import cell_at

pytest.importorskip("pyarrow", reason="parquet is written by pyarrow: pip install 'diswot-bench[cifar]'")

CELLS = [9930, 7, 1462]
rng = np.random.default_rng


def plant(folder: Path, mode: str, benchmark: str = "digits", without: tuple[str, ...] = ()) -> AccuracyTable:
    """Three cells, two seeds, in no order; the last training diverged."""
    rows: list[dict[str, Any]] = []
    for number, (cell, seed) in enumerate(itertools.product(CELLS, (1, 0))):
        val, test, best, said = rng([number, len(mode)]).uniform(10, 90, 4).round(4)
        rows.append({"cell": cell, "seed": seed, "val": val, "test": test, "best": best, "log_likelihood": -said})
        rows[-1] |= {"epochs": 2, "seconds": 1.5 + number, "status": "ok"}
    rows[-1] |= {name: float("nan") for name in ("val", "test", "best", "log_likelihood")} | {"status": "diverged"}
    frame = pd.DataFrame(rows)[[*COLUMNS]].assign(**{name: float("nan") for name in without})
    table = AccuracyTable(frame, {"mode": mode, "steps": 600, "skeleton": {"channels": 8}})
    path = table_path(benchmark, mode, folder)
    write_table(path, table, {"hardware": [f"an abacus for {mode}"]})
    return read_table(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for mode in MODES:
        plant(tmp_path / "tables", mode)
    return tmp_path / "tables"


def read(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path, engine="pyarrow")


@pytest.mark.slow
def test_parquet_holds_what_the_table_holds_and_the_cells_names(folder: Path, tmp_path: Path) -> None:
    written = write_hub("digits", folder, tmp_path / "hub")
    assert written == [tmp_path / "hub" / name for name in ("vanilla.parquet", "distilled.parquet", "README.md")]
    assert sorted(path.name for path in (tmp_path / "hub").iterdir()) == sorted(path.name for path in written)
    for mode in MODES:
        found, table = read(tmp_path / "hub" / f"{mode}.parquet"), read_table(table_path("digits", mode, folder))
        assert list(found) == ["cell", "arch", *COLUMNS[1:]]
        assert list(zip(found["cell"], found["seed"], strict=True)) == [*itertools.product(sorted(CELLS), (0, 1))]
        assert list(found["arch"]) == [str(cell_at(cell)) for cell in found["cell"]]
        pd.testing.assert_frame_equal(found.drop(columns="arch"), table.rows[[*COLUMNS]], check_exact=True)
        assert found["test"].isna().to_list() == (found["status"] == "diverged").to_list()


def test_numbers_keep_their_types(folder: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    schema = pq.read_schema(write_hub("digits", folder, tmp_path / "hub")[0])
    assert {name: str(schema.field(name).type) for name in ("cell", "seed", "val", "test", "seconds")} == {
        "cell": "int64", "seed": "int64", "val": "double", "test": "double", "seconds": "double",
    }  # fmt: skip
    assert not schema.metadata, "what pandas says of itself names versions"


def test_columns_that_a_table_lacks_are_not_made_up(tmp_path: Path) -> None:
    plant(tmp_path, "vanilla", without=("best", "log_likelihood"))
    (parquet, _) = write_hub("digits", tmp_path, tmp_path / "hub")
    assert set(read(parquet)) == {"arch", *COLUMNS} - {"best", "log_likelihood"}


@pytest.mark.slow
def test_the_card_says_what_every_column_means(folder: Path, tmp_path: Path) -> None:
    *parquets, card = write_hub("digits", folder, tmp_path / "hub")
    rows = re.findall(r"^\| `([^`]+)` \| (.+) \|$", card.read_text(), re.MULTILINE)
    explained = [name for names, _ in rows for name in names.split(", ")]
    assert len(set(explained)) == len(explained)
    for parquet in parquets:
        assert set(read(parquet)) == set(explained)
    assert all(len(meaning) > 3 for _, meaning in rows)


def test_the_card_says_how_many_how_and_by_what(folder: Path, tmp_path: Path) -> None:
    text = write_hub("digits", folder, tmp_path / "hub")[-1].read_text()
    for mode in MODES:
        assert f"`{mode}` 3 functions x 2 seeds" in text
        assert f"- config_name: {mode}\n  data_files: {mode}.parquet\n" in text
        assert f'"mode": "{mode}"' in text
    assert "Computed by: an abacus for distilled; an abacus for vanilla." in text
    assert text.startswith("---\n")
    assert text.count("\n---\n") == 1


@pytest.mark.slow
def test_datasets_reads_the_folder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets", reason="pip install 'diswot-bench[cifar]'")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub = tmp_path / "hub"
    write_hub("digits", folder, hub)
    assert sorted(datasets.get_dataset_config_names(str(hub))) == sorted(MODES)
    for mode in MODES:
        loaded = datasets.load_dataset(str(hub), mode, split="train", cache_dir=str(tmp_path / "cache")).to_pandas()
        pd.testing.assert_frame_equal(loaded, read(hub / f"{mode}.parquet"), check_exact=True)


def test_tables_of_one_mode_are_a_folder_too(tmp_path: Path) -> None:
    plant(tmp_path, "distilled", "digits-short")
    parquet, card = write_hub("digits-short", tmp_path, tmp_path / "hub")
    assert parquet.name == "distilled.parquet"
    assert "config_name: vanilla" not in card.read_text()
    assert 'load_dataset("FOLDER OR NAME", "distilled", split="train")' in card.read_text()


def test_a_damaged_table_writes_nothing(folder: Path, tmp_path: Path) -> None:
    table_path("digits", "distilled", folder).write_bytes(b"\x1f\x8b\x08 no")
    with pytest.raises(BadInput, match=r"cannot read .*digits-distilled\.csv\.gz \(.*\): restore it"):
        write_hub("digits", folder, tmp_path / "hub")
    assert not (tmp_path / "hub").exists()


# the command


@pytest.mark.slow
def test_the_command_writes_the_same_bytes_again(command: Command, folder: Path, tmp_path: Path) -> None:
    words = ("distill", "export", "--format", "hub", "--output", folder)
    ended = command(*words)
    assert (ended.code, ended.err) == (0, "")
    hub = tmp_path / "results" / "store" / "hub" / "digits"
    names = ["vanilla.parquet", "distilled.parquet", "README.md"]
    assert ended.out.splitlines() == [f"wrote results/store/hub/digits/{name}" for name in names]
    before = {path: path.read_bytes() for path in hub.iterdir()}
    assert command(*words).code == 0
    assert command(*words, "--to", "elsewhere").code == 0
    assert {path: path.read_bytes() for path in hub.iterdir()} == before
    assert {path.name: path.read_bytes() for path in (tmp_path / "elsewhere").iterdir()} == {
        path.name: content for path, content in before.items()
    }


@pytest.mark.slow
def test_rows_that_lie_in_another_order_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    before = write_hub("digits", folder, tmp_path / "hub")[0].read_bytes()
    path = table_path("digits", "vanilla", folder)
    head, *lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    path.write_bytes(gzip.compress("\n".join([head, *lines[::-1], ""]).encode()))
    assert write_hub("digits", folder, tmp_path / "again")[0].read_bytes() == before


def test_an_unknown_format_ends_with_2(command: Command, tmp_path: Path) -> None:
    ended = command("distill", "export", "--format", "hubs")
    assert (ended.code, ended.out) == (2, "")
    assert "unknown format 'hubs': did you mean 'hub'?" in ended.error
    assert not list(tmp_path.iterdir())


def test_without_tables_one_line_says_what_makes_them(command: Command, tmp_path: Path) -> None:
    ended = command("distill", "export", "--format", "hub", "--output", "nowhere")
    assert (ended.code, ended.out) == (1, "")
    assert ended.error == "no accuracy tables of digits in nowhere: make them with `python -m distill run`"
    assert not list(tmp_path.iterdir())


def test_without_pyarrow_one_line_names_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)  # pandas may read by the rest of it
    with pytest.raises(BadInput, match=r"parquet needs the library 'pyarrow': pip install 'diswot-bench\[cifar\]'"):
        write_hub("digits", folder, folder / "hub")
    assert not (folder / "hub").exists()
