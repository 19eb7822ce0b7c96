"""Small CIFAR files, in the layouts in which the real ones come."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest

from common.errors import BadInput

pa = pytest.importorskip("pyarrow", reason="needs the extra 'cifar'")
pq = pytest.importorskip("pyarrow.parquet")
Image = pytest.importorskip("PIL.Image")

COLUMN = {"cifar10": "label", "cifar100": "fine_label"}
FILES = {
    "cifar10": ("cifar-10-batches-py", "labels", [f"data_batch_{i}" for i in range(1, 6)], ["test_batch"]),
    "cifar100": ("cifar-100-python", "fine_labels", ["train"], ["test"]),
}
CELL = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def pixels(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N, 3, 32, 32] and labels 0..9 [N]."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 3, 32, 32), np.uint8), rng.integers(0, 10, count)


def encoded(image: np.ndarray, form: str = "PNG", mode: str = "RGB") -> bytes:
    """A file with the image [3, H, W], without loss."""
    buffer = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).convert(mode).save(buffer, form, lossless=True)
    return buffer.getvalue()


def write_parquet(path: Path, column: str, images: np.ndarray, labels: np.ndarray, **more: list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [{"bytes": encoded(image), "path": "nowhere.png"} for image in images]
    table = {"coarse_label": pa.array([0] * len(labels)), column: pa.array(labels), "img": pa.array(cells, CELL)}
    pq.write_table(pa.table({**table, **more}), path)


def parquet_folder(data: Path, name: str, train: int = 60, test: int = 7) -> Path:
    """data/NAME: the training images of `pixels(train, 0)` in two shards, the test images of `pixels(test, 1)`."""
    images, labels = pixels(train, 0)
    for shard, part in enumerate((slice(None, train // 3), slice(train // 3, None))):
        path = data / name / f"train-0000{shard}-of-00002.parquet"
        write_parquet(path, COLUMN[name], images[part], labels[part])
    write_parquet(data / name / "test-00000-of-00001.parquet", COLUMN[name], *pixels(test, 1))
    return data / name


def black_folder(data: Path, name: str, train: np.ndarray, test: np.ndarray) -> Path:
    """data/NAME: a black image for each label, in one shard of each part."""
    black = {"bytes": encoded(np.zeros((3, 32, 32), np.uint8)), "path": None}
    for part, labels in (("train", train), ("test", test)):
        cells = pa.array([black], CELL).take(pa.array(np.zeros(len(labels), int)))
        write_parquet(data / name / f"{part}-00000-of-00001.parquet", COLUMN[name], np.empty(0), labels, img=cells)
    return data / name


def torchvision_folder(data: Path, name: str, keys: type = str, protocol: int = 2) -> Path:
    """The same images in torchvision's layout."""
    folder, key, train, test = FILES[name]
    (data / folder).mkdir(parents=True)
    for files, (images, labels) in ((train, pixels(60, 0)), (test, pixels(7, 1))):
        for file, at in zip(files, np.array_split(np.arange(len(labels)), len(files)), strict=True):
            batch = {"data": images[at].reshape(-1, 3072), key: labels[at].tolist(), "filenames": ["x"] * len(at)}
            if keys is bytes:
                batch = {k.encode(): v for k, v in batch.items()}
            (data / folder / file).write_bytes(pickle.dumps(batch, protocol=protocol))
    return data / folder


def one_line(error: pytest.ExceptionInfo[BadInput], *words: object) -> None:
    text = str(error.value)
    assert "\n" not in text
    for word in words:
        assert str(word) in text
