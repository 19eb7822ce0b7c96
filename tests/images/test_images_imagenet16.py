"""ImageNet16-120 from the official batch files, and the wary reader of such files."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from common.errors import BadInput, BadUsage
from images import load
from images.imagenet16 import TRAIN_FILES, ImageNet16
from images.pickles import read_batch, read_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def rows(file: str, count: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Data uint8 [N, 768] and labels 1..1000 [N] of a file, a third of them above 120, each file its own."""
    rng = np.random.default_rng([*file.encode()])
    labels = np.where(np.arange(count) % 3 == 2, rng.integers(121, 1001, count), rng.integers(1, 121, count))
    return rng.integers(0, 256, (count, 768), np.uint8), labels


def python2(data: np.ndarray, labels: np.ndarray) -> bytes:
    """What Python 2's cPickle wrote at protocol 2: byte strings for keys and pixels, the old name of numpy's core."""

    def string(raw: bytes) -> bytes:
        return b"T" + struct.pack("<i", len(raw)) + raw

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    dtype = b"cnumpy\ndtype\n" + string(b"u1") + b"K\x00K\x01\x87R(K\x03" + string(b"|") + b"NNN" + number(-1) * 2
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + string(b"b") + b"\x87R"
        b"(K\x01" + number(len(data)) + number(data.shape[1]) + b"\x86" + dtype + b"K\x00tb\x89"
    )
    listed = b"](" + b"".join(map(number, labels.tolist())) + b"e"
    return b"\x80\x02}(" + string(b"data") + array + string(data.tobytes()) + b"tb" + string(b"labels") + listed + b"u."


def write(folder: Path, file: str, protocol: int = 2) -> None:
    data, labels = rows(file)
    folder.mkdir(exist_ok=True)
    (folder / file).write_bytes(pickle.dumps({"data": data, "labels": labels.tolist()}, protocol=protocol))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for file in (*TRAIN_FILES, "val_data"):
        write(tmp_path / "ImageNet16", file)
    return tmp_path / "ImageNet16"


def kept(*files: str) -> dict[bytes, int]:
    found = {}
    for file in files:
        for row, label in zip(*rows(file), strict=True):
            if label <= 120:
                found[row.tobytes()] = label - 1
    return found


def content(split) -> dict[bytes, int]:
    return {image.tobytes(): label for image, label in zip(split.images, split.labels, strict=True)}


@pytest.mark.parametrize("inside", [False, True])
def test_classes_1_to_120_are_kept(folder: Path, inside: bool) -> None:
    found = load("imagenet16-120", folder if inside else folder.parent)
    assert isinstance(found, ImageNet16)
    assert (found.name, found.classes, found.size) == ("imagenet16-120", 120, 16)
    train = found.split("train")
    assert train.images.shape == (200, 3, 16, 16)
    assert train.images.dtype == np.uint8
    assert train.labels.dtype == np.int64
    assert content(train) == kept(*TRAIN_FILES)
    first, labels = rows(TRAIN_FILES[0])
    np.testing.assert_array_equal(train.images[0, 1, 2], first[0, 256 + 32 : 256 + 48])  # third row of the green plane
    assert train.labels[0] == labels[0] - 1


def test_val_and_test_are_halves_of_val_data(folder: Path) -> None:
    val, test = (content(ImageNet16(folder).split(name)) for name in ("val", "test"))
    assert len(val) == len(test) == 10
    assert val | test == kept("val_data")
    # stored accuracies belong to these halves: they may change with `HALVES_SEED` or numpy only
    assert ImageNet16(folder).split("val").labels.tolist() == [105, 110, 20, 88, 88, 30, 10, 89, 32, 29]


def test_training_images_and_batch(folder: Path) -> None:
    found = ImageNet16(folder)
    drawn = found.training_images(4, 200)
    assert content(drawn) == content(found.split("train"))
    np.testing.assert_array_equal(found.training_images(4, 32).images, drawn.images[:32])
    assert not np.array_equal(found.training_images(5, 32).images, drawn.images[:32])
    batch = found.batch(32, 4)
    mean, std = (np.array(v).reshape(3, 1, 1) for v in ([122.68, 116.66, 104.01], [63.22, 61.26, 65.09]))
    np.testing.assert_allclose(batch.images.numpy(), (drawn.images[:32] - mean) / std, atol=1e-5)
    with pytest.raises(BadUsage, match="200 for training"):
        found.training_images(0, 201)
    with pytest.raises(BadUsage, match="did you mean 'val'"):
        found.split("vall")


def refused(data: Path | None, *words: object) -> None:
    with pytest.raises(BadInput) as error:
        ImageNet16(data)
    assert "\n" not in str(error.value)
    for word in words:
        assert str(word) in str(error.value)


def test_folders_that_cannot_be_used(tmp_path: Path, folder: Path) -> None:
    refused(None, "--data")
    refused(tmp_path / "nowhere", tmp_path / "nowhere", "--data")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", tmp_path / "empty", "train_data_batch_1")
    (folder / "train_data_batch_7").unlink()
    refused(tmp_path, folder, "lacks train_data_batch_7:")


@pytest.mark.parametrize("keep", [0, 1, 100, 10_000, -1])
def test_truncated_file(folder: Path, keep: int) -> None:
    path = folder / "train_data_batch_3"
    path.write_bytes(path.read_bytes()[:keep])
    refused(folder, path, "again")


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ([1, 2], "list"),
        ({"data": np.zeros((2, 768), np.uint8), "fine_labels": [1, 2]}, "no 'labels' (it has: data, fine_labels)"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [1, 2]}, "uint8 [2, 3072]"),
        ({"data": np.zeros((2, 768), np.float32), "labels": [1, 2]}, "float32 [2, 768]"),
        ({"data": [[0] * 768] * 2, "labels": [1, 2]}, "list"),
        ({"data": np.zeros((2, 768), np.uint8), "labels": [1]}, "2 whole numbers"),
        ({"data": np.zeros((2, 768), np.uint8), "labels": ["a", "b"]}, "2 whole numbers"),
        ({"data": np.zeros((2, 768), np.uint8), "labels": [[1], [1, 2]]}, "2 whole numbers"),
        ({"data": np.zeros((2, 768), np.uint8), "labels": [0, 2]}, "labels 0 to 2"),
        ({"data": np.zeros((2, 768), np.uint8), "labels": [1, 1001]}, "labels 1 to 1001"),
    ],
)
def test_foreign_file(folder: Path, batch: object, words: str) -> None:
    path = folder / "train_data_batch_2"
    path.write_bytes(pickle.dumps(batch, protocol=2))
    refused(folder, path, words)


def test_no_image_of_the_120_classes(folder: Path) -> None:
    batch = {"data": np.zeros((2, 768), np.uint8), "labels": [121, 1000]}
    (folder / "val_data").write_bytes(pickle.dumps(batch, protocol=2))
    refused(folder, folder / "val_data", "1 to 120")


def test_python_2_file(tmp_path: Path) -> None:
    data, labels = rows("any")
    written = python2(data, labels)
    reference = pickle.loads(written, encoding="latin1")  # the format written here is the real one
    np.testing.assert_array_equal(reference["data"], data)
    (tmp_path / "batch").write_bytes(written)
    batch = read_batch(tmp_path / "batch", "labels", 16, 100)
    np.testing.assert_array_equal(batch.images, data.reshape(-1, 3, 16, 16))
    assert batch.labels.tolist() == labels.tolist()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_of_numbers_as_pickle_reads_them(tmp_path: Path, protocol: int) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "bytes": rng.integers(0, 256, (4, 5), np.uint8),
        "empty": np.zeros((0, 5), np.uint8),
        "columns first": np.asfortranarray(rng.normal(size=(3, 4)).astype(np.float32)),
        "big end": rng.integers(0, 9, 7).astype(">i2"),
        "strided": rng.integers(0, 9, (6, 6))[::2, ::3],
        "truth": np.array([True, False]),
        "nothing around": np.array(3.5),
    }
    plain = {
        "scalars": [np.int64(-7), np.float32(0.5)],
        "raw": b"\x00\xff",
        "none": b"",
        "text": "é",
        "nested": {"a": [1]},
    }
    path = tmp_path / "batch"
    path.write_bytes(pickle.dumps({**arrays, **plain}, protocol=protocol))
    found = read_pickle(path)
    for key, array in arrays.items():
        assert found[key].dtype == array.dtype
        np.testing.assert_array_equal(found[key], array, strict=True)
    assert {key: found[key] for key in plain} == plain


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("function", [os.mkdir, os.system, eval, getattr, np.load, np.fromfile, pickle.loads])
def test_calls_are_refused_and_not_made(tmp_path: Path, protocol: int, function) -> None:
    marker = tmp_path / "it ran"
    argument = {os.system: f"mkdir '{marker}'", eval: f"__import__('os').mkdir({str(marker)!r})"}
    path = tmp_path / "batch"
    path.write_bytes(pickle.dumps({"data": [Call(function, argument.get(function, str(marker)))]}, protocol=protocol))
    with pytest.raises(BadInput) as error:
        read_pickle(path)
    assert str(path) in str(error.value)
    assert function.__name__ in str(error.value)
    assert "\n" not in str(error.value)
    assert not marker.exists()


def test_no_objects_out_of_raw_bytes(tmp_path: Path) -> None:
    """numpy would take the bytes for addresses: reading the first element is a read of any memory."""
    address = bytearray(struct.pack("<q", 0x10))
    path = tmp_path / "batch"
    for dtype in (np.dtype(object), np.dtype("V8"), np.dtype([("a", object)])):
        path.write_bytes(pickle.dumps({"data": Call(np.ndarray, (1,), dtype, address)}, protocol=5))
        with pytest.raises(BadInput, match="cannot read"):
            read_pickle(path)
    path.write_bytes(pickle.dumps({"data": np.array([{}], dtype=object)}))
    with pytest.raises(BadInput, match="array of type 'O8'"):
        read_pickle(path)


def test_missing_pickle(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no file"):
        read_pickle(tmp_path / "batch")
