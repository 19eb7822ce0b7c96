"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): 32x32 colour images, from the Hugging Face hub or from a folder.

A folder holds parquet files as the hub has them, or the batch files that torchvision unpacks. The sources keep the
images in different orders, so the same seed draws other images from another source: the batch hash tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from common.errors import BadInput, unknown
from images.base import DataSet, Split, draw
from images.parquet import SIZE, Table, library, read_parquet, reason
from images.pickles import read_batch

COUNTS = {"train": 50_000, "test": 10_000}
"""Official images, as many of each class."""
MOST = sum(COUNTS.values())
"""Images that are read at all before they are counted by class."""
SUBSET = "-subset"
"""Behind a name: any part of the data set, under a name of its own."""
HOLD_OUT_SEED = 201
HELD_OUT = 5000
"""Images of the official 50,000 that make `val`; of a smaller training set, a tenth."""


@dataclass(frozen=True)
class _Facts:
    """What tells the two apart. `files` are torchvision's; `column` and `key` hold the labels in either layout.

    `config` is the hub's folder of parquet files inside the data set's.
    """

    classes: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    hub: str
    config: str
    column: str
    folder: str
    files: dict[str, tuple[str, ...]]
    key: str


FACTS = {  # mean and std are the constants of NAS-Bench-201
    "cifar10": _Facts(
        classes=10,
        mean=(125.3 / 255, 123.0 / 255, 113.9 / 255),
        std=(63.0 / 255, 62.1 / 255, 66.7 / 255),
        hub="uoft-cs/cifar10",
        config="plain_text",
        column="label",
        folder="cifar-10-batches-py",
        files={"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)},
        key="labels",
    ),
    "cifar100": _Facts(
        classes=100,
        mean=(129.3 / 255, 124.1 / 255, 112.4 / 255),
        std=(68.2 / 255, 65.4 / 255, 70.4 / 255),
        hub="uoft-cs/cifar100",
        config="cifar100",
        column="fine_label",
        folder="cifar-100-python",
        files={"train": ("train",), "test": ("test",)},
        key="fine_labels",
    ),
}


class Cifar(DataSet):
    """`cifar10` or `cifar100`; `data` is a folder with the files, or None to fetch them by name from the hub.

    Splits: `val` is 5,000 of the 50,000 official training images (a tenth of a smaller set), chosen once by
    `HOLD_OUT_SEED`; `train` is the others; `test` is the official test set. Each keeps the order of its source.
    `cifar10-subset` and `cifar100-subset` are any part of these: the name draws other images, so no number of a part
    passes for one of CIFAR. Raises BadInput where the data cannot be had, read or understood, or lacks images, and
    BadUsage for an unknown name.
    """

    size = SIZE
    pad = 4

    def __init__(self, name: str, data: Path | None) -> None:
        whole = name.removesuffix(SUBSET)
        if whole not in FACTS:
            raise unknown("CIFAR data set", name, [*FACTS, *(each + SUBSET for each in FACTS)])
        self.name, self._whole = name, whole
        self._facts = FACTS[whole]
        self.classes, self.mean, self.std = self._facts.classes, self._facts.mean, self._facts.std
        self._files = None if data is None else _find(whole, data)
        # opened here: a bad folder is to be told before anything is built on it
        self._official = self._open("train")
        order = np.random.default_rng(HOLD_OUT_SEED).permutation(len(self._official.labels))
        held_out = min(HELD_OUT, len(order) // 10)
        self._val, self._train = np.sort(order[:held_out]), np.sort(order[held_out:])

    def split(self, name: str) -> Split:
        """All images of `train` (45,000: some seconds), `val` or `test`. Raises BadUsage for others."""
        if name == "train":
            return self._official.take(self._train)
        if name == "val":
            return self._official.take(self._val)
        if name == "test":
            return self._test.take(np.arange(len(self._test.labels)))
        raise unknown(f"split of {self.name}", name, ("train", "val", "test"))

    def training_images(self, seed: int, count: int) -> Split:
        """`count` different images of `train`, drawn by (name, seed); a larger count adds to a smaller one.

        Decodes these images only. Raises BadUsage for more images than `train` has.
        """
        return self._official.take(self._train[draw(self.name, seed, count, len(self._train))])

    @cached_property
    def _test(self) -> _Rows:
        return self._open("test")

    def _open(self, part: str) -> _Rows:
        if self._files is None:
            rows = _from_hub(self._whole, part)
        elif (files := self._files[part])[0].suffix == ".parquet":
            rows = read_parquet(files, self._facts.column, MOST)
        else:
            rows = _from_batches(self._facts.key, files)
        labels, where = rows.labels, rows.where
        if not len(labels):
            raise BadInput(f"{where} has no images: get the files of {self.name} again")
        if labels.min() < 0 or labels.max() >= self.classes:
            raise BadInput(
                f"{where} has labels {labels.min()} to {labels.max()}, {self.name} has 0 to {self.classes - 1}: "
                "get the files again"
            )
        if self.name == self._whole:
            self._check_counts(part, rows)
        return rows

    def _check_counts(self, part: str, rows: _Rows) -> None:
        """Raises BadInput where images are missing or too many: a part of CIFAR is not to pass for CIFAR."""
        of_class, wanted = np.bincount(rows.labels, minlength=self.classes), COUNTS[part] // self.classes
        if (of_class != wanted).any():
            odd = int(np.argmax(of_class != wanted))
            raise BadInput(
                f"{rows.where} has {len(rows.labels):,} {part} images, {of_class[odd]:,} of them of class {odd}; "
                f"{self.name} has {COUNTS[part]:,}, {wanted:,} of each class: get the files again, "
                f"or ask for a part by a name that ends in {SUBSET}"
            )


def load(name: str, data: Path | None) -> Cifar:
    """The data set of a name in `images.registry`."""
    return Cifar(name, data)


class _Rows(Protocol):
    """Images that can be taken by index; `where` names their origin in messages."""

    where: str
    labels: np.ndarray

    def take(self, indices: np.ndarray) -> Split: ...


@dataclass
class _Arrays:
    """Rows in memory, uint8 [N, 3, 32, 32]."""

    where: str
    labels: np.ndarray
    images: np.ndarray

    def take(self, indices: np.ndarray) -> Split:
        return Split(self.images[indices], self.labels[indices])


def _find(name: str, data: Path) -> dict[str, list[Path]]:
    """The files of `train` and `test`: parquet in data/NAME, in what the hub's tools call it, or data, else
    torchvision's in data/FOLDER or data."""
    facts = FACTS[name]
    if not data.is_dir():
        raise BadInput(f"no folder {data}: give the folder with the files of {name} as --data")
    for folder in _of_parquet(data, name, facts):
        found = {part: sorted(folder.glob(f"{part}-*.parquet")) for part in ("train", "test")}
        if any(found.values()):
            for part, files in found.items():
                _check_shards(folder, part, files)
            return found
    for folder in (data / facts.folder, data):
        wanted = {part: [folder / file for file in files] for part, files in facts.files.items()}
        missing = [path for files in wanted.values() for path in files if not path.is_file()]
        if not missing:
            return wanted
        if len(missing) < sum(map(len, wanted.values())):
            raise BadInput(f"no file {missing[0]}: unpack the official archive of {name} again")
    raise BadInput(
        f"no {name} in {data}: --data wants a folder with {name}/train-*.parquet and {name}/test-*.parquet, "
        f"or with {facts.folder}/"
    )


def _of_parquet(data: Path, name: str, facts: _Facts) -> Iterator[Path]:
    """Where parquet files may lie: as in a folder of one's own, a copy of the hub's repository, or the hub's cache."""
    cached = data / f"datasets--{facts.hub.replace('/', '--')}" / "snapshots"
    for home in (data / name, data / facts.hub.replace("/", "___"), *sorted(cached.glob("*")), data):
        yield home
        yield home / facts.config


def _check_shards(folder: Path, part: str, files: list[Path]) -> None:
    """Raises BadInput where a shard is missing or two downloads are mixed: NAME-00001-of-00002.parquet tells."""
    if not files:
        raise BadInput(f"no {part}-*.parquet in {folder}: get the missing files of the data set")
    numbered = [re.search(r"-(\d+)-of-(\d+)\.parquet$", file.name) for file in files]
    shards = [(int(match[1]), int(match[2])) for match in numbered if match]
    if shards and shards != [(i, len(files)) for i in range(len(files))]:
        names = ", ".join(file.name for file in files)
        raise BadInput(f"{folder} does not have all shards of one {part} set, only {names}: get the files again")


def _from_batches(key: str, files: list[Path]) -> _Rows:
    batches = [read_batch(path, key, SIZE, MOST) for path in files]
    labels = np.concatenate([batch.labels for batch in batches])
    return _Arrays(str(files[0].parent), labels, np.concatenate([batch.images for batch in batches]))


def _from_hub(name: str, part: str) -> _Rows:
    """Fetched once and kept in the library's own cache, from which it is read without a network."""
    datasets, _ = library("datasets"), library("PIL.Image")
    facts = FACTS[name]
    try:
        with _quiet(facts.hub):
            dataset = datasets.load_dataset(facts.hub, split=part)
    except Exception as error:  # the network, hub and file layers have no error class in common
        why = "no connection, and no copy in its cache" if isinstance(error, ConnectionError) else reason(error)
        raise BadInput(
            f"cannot get {name} from the Hugging Face hub ({why}): "
            f"pass --data DIR with {name}/train-*.parquet and {name}/test-*.parquet, or with {facts.folder}/"
        ) from error
    if not isinstance(dataset.features.get("img"), datasets.Image) or facts.column not in dataset.features:
        found = ", ".join(dataset.column_names)
        raise BadInput(f"{facts.hub} on the hub has no images 'img' with '{facts.column}' ({found}): pass --data DIR")
    # the arrow format gives the rows of the data set, whatever part of its table they are
    table = dataset.with_format("arrow")[:].flatten()
    images = table.column("img.bytes")
    return Table(facts.hub, table.column(facts.column).to_numpy(), lambda rows: (images[row].as_py() for row in rows))


@contextmanager
def _quiet(repository: str) -> Iterator[None]:
    """No bars and no warnings from the libraries meanwhile, nor half a minute of retries where the hub is not there."""
    import datasets
    import huggingface_hub
    from huggingface_hub.utils import logging as hub_logging

    libraries = [lib for lib in (datasets, huggingface_hub.utils) if not lib.are_progress_bars_disabled()]
    levels = [(log, log.get_verbosity()) for log in (datasets.logging, hub_logging)]
    offline = datasets.config.HF_HUB_OFFLINE
    for lib in libraries:
        lib.disable_progress_bars()
    for log, _ in levels:
        log.set_verbosity_error()
    try:
        try:
            huggingface_hub.HfApi().dataset_info(repository, timeout=10)
        except Exception:  # whatever it is, what the cache has will do
            datasets.config.HF_HUB_OFFLINE = True
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = offline
        for lib in libraries:
            lib.enable_progress_bars()
        for log, level in levels:
            log.set_verbosity(level)
