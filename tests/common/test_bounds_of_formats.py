"""No file makes its reader wait for ever, or fill the memory: what is too large, however packed, is one line.

The inputs are harmless: limits are lowered until something small is too much.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from common import formats
from common.errors import BadInput
from common.formats import read_csv, read_json, read_records, read_tensors, read_text
from distill.networks import load_weights

READERS: dict[str, Callable[..., Any]] = {
    "json": read_json,
    "csv": read_csv,
    "records": read_records,
    "text": read_text,
    "pt": read_tensors,
}


def line(path: Path, read: Callable[..., Any]) -> str:
    with pytest.raises(BadInput) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"cannot read {path} (")
    return str(caught.value)


@pytest.mark.parametrize("ending", READERS)
def test_neither_pipe_nor_device_is_read(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{ending}"
    os.mkfifo(path)
    assert "a pipe or a device, and no regular file" in line(path, READERS[ending])
    assert "a pipe or a device, and no regular file" in line(Path("/dev/zero"), READERS[ending])


def zipped(data: bytes, *more: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.csv", *more):
            archive.writestr(name, data)
    return buffer.getvalue()


def tarred(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        about = tarfile.TarInfo("a.csv")
        about.size = len(data)
        archive.addfile(about, io.BytesIO(data))
    return buffer.getvalue()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "csv": bytes,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zip": zipped,
    "tar": tarred,
}


@pytest.mark.parametrize("ending", PACKED)
def test_a_table_is_no_larger_than_tables_are(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"a,b\n" + b"1,2\n" * 3000
    path = tmp_path / f"a.csv.{ending}"
    path.write_bytes(PACKED[ending](data))
    assert len(read_csv(path)) == 3000
    monkeypatch.setattr(formats, "MOST_CSV", 12_003)
    assert "more than 12,003 bytes" in line(path, read_csv)
    monkeypatch.setattr(formats, "MOST_CSV", 100_000)
    monkeypatch.setattr(formats, "MOST_VALUES", 6001)
    assert "more than 6,001 values" in line(path, read_csv)


@pytest.mark.slow
def test_records_are_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 3000))
    assert len(read_records(path)) == 3000
    monkeypatch.setattr(formats, "MOST_VALUES", 6001)
    assert "more than 6,001 values" in line(path, read_records)
    monkeypatch.setattr(formats, "MOST_CSV", 12_003)
    assert "more than 12,003 bytes" in line(path, read_records)


def test_a_table_has_a_thousand_columns_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MOST_COLUMNS", 3)
    path = tmp_path / "a.csv"
    for head in (b"a,b,c,d", b'\n\n"a\n1",b,c,d', b"\xef\xbb\xbfa,b,c,d"):
        path.write_bytes(head + b"\n1,2,3,4\n")
        assert "more than 3 columns" in line(path, read_csv)


@pytest.mark.parametrize("read", [read_text, read_json])
def test_text_is_no_larger_than_text_is(
    read: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text('{"a": 1}')
    read(tmp_path / "a")
    monkeypatch.setattr(formats, "MOST_TEXT", 7)
    assert "more than 7 bytes" in line(tmp_path / "a", read)


DAMAGED = {
    "gz": gzip.compress(b"a\n1\n" * 99)[:-12],
    "bz2": bz2.compress(b"a\n1\n" * 99)[:-9],
    "xz": lzma.compress(b"a\n1\n" * 99)[:-20],
    "zip": zipped(b"a\n1\n" * 99)[:-9],
    "tar": tarred(b"a\n1\n" * 99)[:300],
}


@pytest.mark.parametrize("ending", DAMAGED)
@pytest.mark.parametrize("content", ["cut", "other", "empty"])
def test_a_damaged_archive_is_one_line(ending: str, content: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.csv.{ending}"
    path.write_bytes({"cut": DAMAGED[ending], "other": b"a,b\n1,2\n", "empty": b""}[content])
    line(path, read_csv)


def test_of_an_archive_of_two_tables_neither_is_chosen(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped(b"a\n1\n", "b.csv"))
    assert "Multiple files" in line(tmp_path / "a.zip", read_csv)


def test_without_the_library_for_zst_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv.zst").write_bytes(b"no zst")
    line(tmp_path / "a.csv.zst", read_csv)


# -- tensors


def repacked(path: Path, compression: int, change: Callable[[str, bytes], bytes]) -> None:
    """The file of tensors with its parts changed."""
    with zipfile.ZipFile(path) as archive:
        parts = {part.filename: archive.read(part) for part in archive.infolist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in parts.items():
            archive.writestr(name, change(name, data))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.save({"weight": torch.zeros(2, 2), "bias": torch.zeros(2)}, tmp_path / "w.pt")
    return tmp_path / "w.pt"


def test_tensors_are_not_unpacked(weights: Path) -> None:
    repacked(weights, zipfile.ZIP_STORED, lambda name, data: data)
    assert set(read_tensors(weights)) == {"weight", "bias"}
    repacked(weights, zipfile.ZIP_DEFLATED, lambda name, data: data)
    assert "it is packed, as torch.save never does" in line(weights, read_tensors)
    with pytest.raises(BadInput, match="it is packed"):
        load_weights(nn.Linear(2, 2), weights)


CALLS = (
    b"\x80\x02]q\x00c_codecs\nencode\nq\x01X\x10\x00\x00\x00" + b"abcd" * 4 + b"q\x02X\x06\x00\x00\x00latin1q\x03000"
)
CALLS += b"h\x01h\x02h\x03\x86Ra" * 60 + b"."


def test_a_pickle_in_a_file_of_tensors_makes_no_more_than_it_holds(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "MOST_MADE", 900)
    read_tensors(weights)
    repacked(weights, zipfile.ZIP_STORED, lambda name, data: CALLS if name.endswith(".pkl") else data)
    assert "makes more than the file holds" in line(weights, read_tensors)
    monkeypatch.setattr(formats, "MOST_PICKLE", 50)
    assert "it holds more than 50 bytes" in line(weights, read_tensors)


def test_a_file_from_before_the_archives_is_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "old.pt"
    torch.save(nn.Linear(2, 2).state_dict(), path, _use_new_zipfile_serialization=False)
    load_weights(nn.Linear(2, 2), path)
    monkeypatch.setattr(formats, "MOST_MADE", 900)
    path.write_bytes(path.read_bytes().split(b".")[0] + b"." + CALLS)
    with pytest.raises(BadInput, match="makes more than the file holds"):
        load_weights(nn.Linear(2, 2), path)


def test_weights_are_no_larger_than_those_of_the_network(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distill.networks._BESIDE", 2000)
    load_weights(nn.Linear(2, 2), weights)
    torch.save({"weight": torch.zeros(50, 50), "bias": torch.zeros(2)}, weights)
    with pytest.raises(BadInput, match="the weights of this network have at most 2,048"):
        load_weights(nn.Linear(2, 2), weights)


def test_weights_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.pt")
    with pytest.raises(BadInput, match="no regular file"):
        load_weights(nn.Linear(2, 2), tmp_path / "w.pt")
