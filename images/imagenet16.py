"""ImageNet16-120: the first 120 classes of ImageNet in 16x16 pixels (Chrabaszcz et al. 2017, arXiv:1707.08819)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from common.errors import BadInput, BadUsage, unknown
from images.base import DataSet, Split, draw
from images.pickles import read_batch

TRAIN_FILES = tuple(f"train_data_batch_{i}" for i in range(1, 11))
VAL_FILE = "val_data"
CLASSES = 120
SIZE = 16
HALVES_SEED = 201
MOST = 150_000
"""Images of the largest file that is read: a tenth of the 1.28 million for training, or the 50,000 of val_data."""


class ImageNet16(DataSet):
    """The downsampled ImageNet batch files in `data` or `data`/ImageNet16: train_data_batch_1..10 and val_data.

    Keeps the images of labels 1..120 as classes 0..119. Splits: `train` is the 151,700 images of the training files;
    `val` and `test` are halves, 3,000 each, of the 6,000 in val_data, chosen once by `HALVES_SEED`. NAS-Bench-201
    halves them too, but by a list of its own: its test half is not this one.

    Reads all files at once (1 GB, some seconds). Raises BadUsage without a folder, and BadInput for a missing, damaged
    or foreign file.
    """

    name = "imagenet16-120"
    classes = CLASSES
    size = SIZE
    pad = 2
    mean = (122.68 / 255, 116.66 / 255, 104.01 / 255)  # as std, the constants of NAS-Bench-201
    std = (63.22 / 255, 61.26 / 255, 65.09 / 255)

    def __init__(self, data: Path | None) -> None:
        folder = _find(data)
        self._train = _read([folder / file for file in TRAIN_FILES])
        held_out = _read([folder / VAL_FILE])
        order = np.random.default_rng(HALVES_SEED).permutation(len(held_out))
        half = len(order) // 2
        self._val, self._test = _take(held_out, np.sort(order[:half])), _take(held_out, np.sort(order[half:]))

    def split(self, name: str) -> Split:
        """`train`, `val` or `test`, in the order of the files. Raises BadUsage for others."""
        splits = {"train": self._train, "val": self._val, "test": self._test}
        if name not in splits:
            raise unknown(f"split of {self.name}", name, splits)
        return splits[name]

    def training_images(self, seed: int, count: int) -> Split:
        """`count` different images of `train`, drawn by (name, seed); a larger count adds to a smaller one.

        Raises BadUsage for more images than `train` has.
        """
        return _take(self._train, draw(self.name, seed, count, len(self._train)))


def load(name: str, data: Path | None) -> ImageNet16:
    """The data set of a name in `images.registry`."""
    return ImageNet16(data)


def _find(data: Path | None) -> Path:
    if data is None:
        raise BadUsage(
            f"imagenet16-120 is not fetched by name: pass --data DIR with {TRAIN_FILES[0]}..10 and {VAL_FILE}"
        )
    if not data.is_dir():
        raise BadInput(f"no folder {data}: give the folder with {TRAIN_FILES[0]}..10 and {VAL_FILE} as --data")
    folder = data / "ImageNet16" if (data / "ImageNet16").is_dir() else data
    missing = [file for file in (*TRAIN_FILES, VAL_FILE) if not (folder / file).is_file()]
    if missing:
        raise BadInput(
            f"{folder} lacks {', '.join(missing)}: unpack the official 16x16 archives (train and val) into it"
        )
    return folder


def _read(files: list[Path]) -> Split:
    """The images of labels 1..120, as classes 0..119."""
    kept = []
    for path in files:
        batch = read_batch(path, "labels", SIZE, MOST)
        if len(batch) and not 1 <= batch.labels.min() <= batch.labels.max() <= 1000:
            raise BadInput(
                f"{path} has labels {batch.labels.min()} to {batch.labels.max()}, not 1 to 1000: use the official files"
            )
        kept.append(_take(batch, np.flatnonzero(batch.labels <= CLASSES)))
    split = Split(np.concatenate([part.images for part in kept]), np.concatenate([part.labels for part in kept]) - 1)
    if not len(split):
        raise BadInput(f"{files[0]} has no image of classes 1 to {CLASSES}: use the official files")
    return split


def _take(split: Split, indices: np.ndarray) -> Split:
    return Split(split.images[indices], split.labels[indices])
