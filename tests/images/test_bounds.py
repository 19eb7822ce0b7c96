"""Files of images that ask for more memory, time or patience than their images need are refused before they are read.

The inputs are harmless: limits are lowered until something small is too much.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cifar_files import CELL, encoded, parquet_folder, pixels, torchvision_folder, write_parquet
from folder_files import write_folder

from common.errors import BadInput
from images import cifar, folder, parquet, pickles
from images.cifar import Cifar
from images.folder import ImageFolder
from images.pickles import read_batch, read_pickle

pa = pytest.importorskip("pyarrow", reason="needs the extra 'cifar'")
pq = pytest.importorskip("pyarrow.parquet")


class Called:
    """Pickles as a call of a function that batch files may name."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def one_line(path: Path, read: Callable[[], object]) -> str:
    with pytest.raises(BadInput) as error:
        read()
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def of_opcodes(*codes: bytes) -> bytes:
    return b"\x80\x02}X\x01\x00\x00\x00k" + b"".join(codes) + b"s."


TEXT = b"X\x28\x00\x00\x00" + b"abcd" * 10 + b"q\x00"
ENCODE = b"c_codecs\nencode\nq\x01"
LATIN = b"X\x06\x00\x00\x00latin1q\x02"
DEEP = {
    "bytes of a number": (pickle.dumps({"k": Called(bytes, 9)}, 2), "positional argument"),
    "a text, again and again": (
        of_opcodes(b"]", ENCODE, b"0", TEXT, b"0", LATIN, b"0", b"h\x01h\x00h\x02\x86Ra" * 60),
        "more of its text than it has",
    ),
    "a memo of high numbers": (of_opcodes(b"Kr\xff\x00\x00\x00"[:1] + b"\x01r\xff\x00\x00\x00"), "object 255 of 1"),
    "a memo of high numbers in text": (of_opcodes(b"K\x01p999\n"), "object 999 of 1"),
    "a tuple of itself twice": (of_opcodes(b"K\x01\x85q\x00h\x00\x86"), "opcode BINGET"),
    "an object twice": (of_opcodes(b"K\x012\x86"), "opcode DUP"),
    "a set": (pickle.dumps({"k": {1}}, 4), "opcode EMPTY_SET"),
    "more bytes than there are": (of_opcodes(b"T\xff\xff\xff\x7fabc"), "2147483647"),
    "a key that is a number": (b"\x80\x02}K\x01K\x01s.", "a key that is a int"),
    "a function that is changed": (of_opcodes(ENCODE, b"}X\x01\x00\x00\x00aK\x01sb"), "attributes are set"),
    "a function that is changed by parts": (of_opcodes(ENCODE, b"N}X\x01\x00\x00\x00aK\x01s\x86b"), "attributes"),
}


@pytest.mark.parametrize("case", DEEP)
def test_a_pickle_that_makes_more_than_it_holds(tmp_path: Path, case: str) -> None:
    content, words = DEEP[case]
    (tmp_path / "batch").write_bytes(content)
    assert words in one_line(tmp_path / "batch", lambda: read_pickle(tmp_path / "batch"))


def test_a_pickle_of_too_many_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "batch").write_bytes(pickle.dumps({"k": [[] for _ in range(100)]}))
    assert len(read_pickle(tmp_path / "batch")["k"]) == 100
    monkeypatch.setattr(pickles, "MOST_OPCODES", 100)
    assert "more than 100 objects" in one_line(tmp_path / "batch", lambda: read_pickle(tmp_path / "batch"))


def test_a_batch_that_is_larger_than_its_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = pixels(3, 0)
    path = tmp_path / "batch"
    path.write_bytes(pickle.dumps({"data": images.reshape(3, -1), "labels": labels.tolist()}, 2))
    assert len(read_batch(path, "labels", 32, 3)) == 3
    assert "has 3 images, and no such file has more than 2" in one_line(path, lambda: read_batch(path, "labels", 32, 2))
    monkeypatch.setattr(pickles, "_OTHERS", 0)
    assert "no such file has more than 3,272" in one_line(path, lambda: read_batch(path, "labels", 32, 1))


@pytest.mark.parametrize("labels", [[[1], [2]], [["1"], "2"], [1.0, 2.0], "12", {1: 2}, [10**30, 1]])
def test_labels_are_a_plain_list(tmp_path: Path, labels: object) -> None:
    """Lists of one list many times over are few bytes, and an array of them is many."""
    path = tmp_path / "batch"
    path.write_bytes(pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": labels}, 2))
    assert "2 whole numbers" in one_line(path, lambda: read_batch(path, "labels", 32, 9))


def test_a_batch_without_images_is_one(tmp_path: Path) -> None:
    (tmp_path / "batch").write_bytes(pickle.dumps({"data": np.zeros((0, 3072), np.uint8), "labels": []}, 2))
    assert len(read_batch(tmp_path / "batch", "labels", 32, 9)) == 0


@pytest.mark.slow
def test_parquet_of_too_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = parquet_folder(tmp_path, "cifar10")
    monkeypatch.setattr(cifar, "MOST", 60)
    assert len(Cifar("cifar10-subset", tmp_path).split("train")) == 54
    monkeypatch.setattr(cifar, "MOST", 59)
    path = place / "train-00001-of-00002.parquet"
    assert "40 rows, and its data set at most 39" in one_line(path, lambda: Cifar("cifar10-subset", tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["NONE", "SNAPPY", "ZSTD", "GZIP"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_parquet_of_too_large_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str, dictionary: bool
) -> None:
    """However it is packed, what is counted is what it unpacks to."""
    path = parquet_folder(tmp_path, "cifar10") / "train-00000-of-00002.parquet"
    images = [{"bytes": encoded(image) + bytes(50_000), "path": "x" * 100} for image in pixels(20, 0)[0]]
    table = pa.table({"label": pa.array([1] * 20), "img": pa.array(images, CELL)})
    pq.write_table(table, path, compression=codec, use_dictionary=dictionary, data_page_size=100_000)
    Cifar("cifar10-subset", tmp_path)  # 1 MB and 20 images of 8 KiB
    monkeypatch.setattr(parquet, "_BESIDE", 800_000)
    assert "more than 8,192 bytes an image" in one_line(path, lambda: Cifar("cifar10-subset", tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["RLE_DICTIONARY", "DELTA_BYTE_ARRAY"])
def test_one_large_image_that_stands_in_many_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """The file says what little it holds, and each row would be a copy."""
    path = parquet_folder(tmp_path, "cifar10") / "train-00000-of-00002.parquet"
    large = {"bytes": encoded(pixels(1, 0)[0][0]) + bytes(100_000), "path": None}
    table = pa.table({"label": pa.array([1] * 500), "img": pa.array([large] * 500, CELL)})
    if encoding == "DELTA_BYTE_ARRAY":
        pq.write_table(table, path, use_dictionary=False, column_encoding={"img.bytes": encoding})
    else:
        pq.write_table(table, path)
    assert path.stat().st_size < 1_000_000
    before = pa.total_allocated_bytes()
    found = one_line(path.parent, lambda: Cifar("cifar10-subset", tmp_path).training_images(0, 400))
    assert "bytes, and may have 8,192" in found
    assert pa.total_allocated_bytes() - before < 10_000_000
    monkeypatch.setattr(parquet, "_SHARED", 10_000)
    monkeypatch.setattr(parquet, "_AT_ONCE", None)  # nothing is read
    assert "more than 8,192 bytes an image" in one_line(path, lambda: Cifar("cifar10-subset", tmp_path))


def test_a_head_of_a_page_that_is_damaged(tmp_path: Path) -> None:
    path = parquet_folder(tmp_path, "cifar10") / "train-00000-of-00002.parquet"
    data, group = path.read_bytes(), pq.ParquetFile(path).metadata.row_group(0)
    at = next(c.dictionary_page_offset for c in map(group.column, range(4)) if c.path_in_schema == "img.bytes")
    for head in (b"\x15\x00\x15\x01\x15\x01", b"\x1c" * 64, b"\xff" * 64):
        path.write_bytes(data[:at] + head + data[at + len(head) :])
        assert "cannot read" in one_line(path, lambda: Cifar("cifar10-subset", tmp_path))


def test_an_image_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "own", {"ant": 12, "cat": 12})
    monkeypatch.setattr(folder, "MOST_SIDE", 15)
    assert "16x16 pixels: make all images of at most 15x15" in one_line(
        tmp_path / "own", lambda: ImageFolder(tmp_path / "own")
    )
    monkeypatch.setattr(folder, "MOST_BYTES", 100)
    assert "an image at most 100" in one_line(tmp_path / "own", lambda: ImageFolder(tmp_path / "own"))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    for place in (
        torchvision_folder(tmp_path / "a", "cifar10") / "data_batch_3",
        parquet_folder(tmp_path / "b", "cifar10") / "train-00001-of-00002.parquet",
    ):
        place.unlink()
        os.mkfifo(place)
        with pytest.raises(BadInput):
            Cifar("cifar10-subset", place.parents[1])
    (tmp_path / "batch").unlink(missing_ok=True)
    os.mkfifo(tmp_path / "batch")
    assert "a pipe or a device" in one_line(tmp_path / "batch", lambda: read_pickle(tmp_path / "batch"))


@pytest.mark.slow
def test_honest_files_are_read_as_before(tmp_path: Path) -> None:
    """By both ways to pack them that programs have."""
    images, labels = pixels(20, 0)
    for codec in ("NONE", "ZSTD"):
        path = parquet_folder(tmp_path / codec, "cifar10") / "train-00000-of-00002.parquet"
        write_parquet(path, "label", images, labels)
        pq.write_table(pq.read_table(path), path, compression=codec, data_page_version="2.0", row_group_size=7)
        found = Cifar("cifar10-subset", tmp_path / codec)._official.take(np.arange(20))
        np.testing.assert_array_equal(found.images, images)
        assert found.labels.tolist() == labels.tolist()
