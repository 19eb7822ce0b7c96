"""Files of other programs are read alike everywhere, or refused in one line; names of files stay in their folder."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from imported import stored

from bench.benchmarks import Benchmark, benchmark
from bench.published import file_name
from common.errors import BadUsage
from search.records import name_of

Command = Callable[..., Any]
TABLE = "cell,accuracy\n3,71.5\n4,60\n"
MARK = codecs.BOM_UTF8
ENCODINGS = ("utf-8-sig", "utf-16", "utf-32")
"""Those that put a byte-order mark in front of a file, as spreadsheets do."""


def zipped(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.csv", data)
    return buffer.getvalue()


def tarred(data: bytes, mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        about = tarfile.TarInfo("labels.csv")
        about.size = len(data)
        archive.addfile(about, io.BytesIO(data))
    return buffer.getvalue()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "csv": bytes,
    "csv.gz": gzip.compress,
    "csv.bz2": bz2.compress,
    "csv.xz": lzma.compress,
    "csv.zip": zipped,
    "tar": tarred,
    "tar.gz": lambda data: tarred(data, "w:gz"),
}


@pytest.mark.slow
@pytest.mark.parametrize("mark", [b"", MARK], ids=["plain", "marked"])
@pytest.mark.parametrize("ending", PACKED)
def test_a_table_is_read_however_it_is_packed(command: Command, tmp_path: Path, ending: str, mark: bytes) -> None:
    (tmp_path / f"labels.{ending}").write_bytes(PACKED[ending](mark + TABLE.encode()))
    words = ("--dataset", "cifar10", "--name", "mine")
    assert command("analysis", "import", "csv", f"labels.{ending}", *words).code == 0
    found = stored(tmp_path / "results" / "accuracies" / "mine.csv.gz")
    assert {cell: test for (cell, _), (_, test) in found.items()} == {3: 71.5, 4: 60}


def damaged(ending: str) -> dict[str, bytes]:
    packed = PACKED[ending](TABLE.encode() * 200)
    return {
        "cut": packed[: len(packed) // 2],
        "turned": packed[:12] + bytes(255 - byte for byte in packed[12:]),
        "other": TABLE.encode(),
        "empty": b"",
    }


@pytest.mark.slow
@pytest.mark.parametrize("how", ["cut", "turned", "other", "empty"])
@pytest.mark.parametrize("ending", [*list(PACKED)[1:], "csv.zst"])
def test_a_damaged_archive_is_told_in_one_line(command: Command, tmp_path: Path, ending: str, how: str) -> None:
    path = tmp_path / f"labels.{ending}"
    path.write_bytes(b"\x28\xb5\x2f\xfd" if ending == "csv.zst" else damaged(ending)[how])
    ended = command("analysis", "import", "csv", path.name, "--dataset", "cifar10")
    assert ended.error.startswith(f"cannot read {path.name} (")
    assert (ended.code, ended.out) == (1, "")
    assert list(tmp_path.iterdir()) == [path]


MARKED = {
    "csv": "cell,accuracy\n3,71.5\n",
    "diswot-json": '{"3": 71.5}',
    "resnet-depths": "713 71.5\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("format", MARKED)
def test_every_importer_reads_what_has_a_mark(command: Command, tmp_path: Path, format: str, encoding: str) -> None:
    (tmp_path / "labels.csv").write_bytes(MARKED[format].encode(encoding))
    ended = command("analysis", "import", format, "labels.csv", "--dataset", "cifar100")
    assert ended.code == 0, ended.err


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_file_of_cells_may_have_the_mark(command: Command, tmp_path: Path, encoding: str) -> None:
    (tmp_path / "cells.txt").write_bytes("3\n15625\n".encode(encoding))
    assert "cells.txt, line 2" in command("bench", "run", "params", "--cells", "cells.txt").error


NO_MARK = {"latin-1": "no text in UTF-8", "utf-16-le": "as UTF-16 does that lacks its byte-order mark"}


@pytest.mark.slow
@pytest.mark.parametrize("encoding", NO_MARK)
@pytest.mark.parametrize("format", MARKED)
def test_text_of_another_encoding_is_told(command: Command, tmp_path: Path, format: str, encoding: str) -> None:
    (tmp_path / "labels.csv").write_bytes(f"{MARKED[format]}é".encode(encoding))
    ended = command("analysis", "import", format, "labels.csv", "--dataset", "cifar100")
    assert ended.error.startswith("cannot read labels.csv (it ")
    assert NO_MARK[encoding] in ended.error
    assert ": save it as UTF-8): " in ended.error
    assert ended.code == 1


@pytest.mark.slow
@pytest.mark.parametrize("text", ["cell,accuracy\n", "cell,accuracy", "cell,accuracy\n\n\n"])
def test_a_heading_without_rows_is_told(command: Command, tmp_path: Path, text: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    for words in (
        ("import", "csv", "labels.csv", "--dataset", "cifar10"),
        ("correlate", "params", "--against", "labels.csv"),
    ):
        ended = command("analysis", *words)
        assert "labels.csv has a heading and no rows" in ended.error
        assert ended.code == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cell,accuracy\n3,\n", "has cells and not one accuracy"),
        ("cell,accuracy\n3,\n4,\n", "has cells and not one accuracy"),
        ("cell,accuracy,test\n3,71,70\n", "has columns accuracy and test: keep the one that is meant"),
    ],
)
def test_which_accuracies_are_meant_and_that_there_are_some(
    command: Command, tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "labels.csv").write_text(text)
    ended = command("analysis", "correlate", "params", "--against", "labels.csv")
    assert f"labels.csv {told}" in ended.error
    assert ended.code == 1


@pytest.mark.slow
@pytest.mark.parametrize("words", [["bench", "status"], ["bench", "run", "params"], ["distill", "export"]])
def test_no_store_is_kept_in_memory(command: Command, words: list[str], tmp_path: Path) -> None:
    ended = command(*words, "--store", ":memory:")
    assert "the store :memory: is no file" in ended.error
    assert ended.code == 1
    assert not list(tmp_path.iterdir())


# -- names of files

OUT = ["../../x", "/x", "a/b", "..", ".", "a\\b", "", "a\nb", "é"]


@pytest.mark.parametrize("name", OUT)
def test_no_benchmark_is_called_so_that_its_files_leave_their_folder(name: str) -> None:
    digits = benchmark("digits")
    with pytest.raises(BadUsage, match="a benchmark cannot be called"):
        Benchmark(name, digits.skeleton, digits.teacher, digits.space)


def test_a_module_with_such_a_benchmark_is_one_line(command: Command, tmp_path: Path) -> None:
    lines = ["from dataclasses import replace", "from bench.benchmarks import benchmark"]
    (tmp_path / "mine.py").write_text("\n".join([*lines, 'MINE = replace(benchmark("digits"), name="../../x")']))
    ended = command("bench", "run", "params", "--module", "mine.py")
    assert "a benchmark cannot be called '../../x'" in ended.error


@pytest.mark.parametrize("name", OUT)
def test_files_of_scores_and_of_searches_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    settings = {"benchmark": "digits", "objective": f"nwot:init={name}", "method": "random", "cells": "all"}
    settings |= {"evaluation": {"seeds": [0]}, "limits": {}}
    for file in (file_name(name), file_name(f"nwot:init={name}"), name_of(settings)):
        assert (tmp_path / file).parent == tmp_path
        assert (tmp_path / file).resolve().parent == tmp_path.resolve()
