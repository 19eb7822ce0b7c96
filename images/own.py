"""Images of one's own: what no paper gives constants for, so that they are computed and count in every hash."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from common.errors import BadInput, BadUsage, unknown
from common.files import content_hash
from images.base import DataSet, Split, draw

Channels = tuple[float, float, float]
VAL_SHARE = 10
"""A tenth of the training images of each class is `val`, where there is no such split."""


class Constants(NamedTuple):
    """Mean and standard deviation per channel of pixels in 0..1."""

    mean: Channels
    std: Channels

    @staticmethod
    def of(parts: Iterable[np.ndarray], where: str) -> Constants:
        """Of images uint8 [N, 3, H, W], in as many parts as suits: sums are whole numbers, so that no order matters.

        Raises BadInput where a channel has one value alone, by whose deviation of 0 nothing can be divided.
        """
        pixels, total, squares = 0, [0, 0, 0], [0, 0, 0]
        for images in parts:
            pixels += images[:, 0].size
            for channel in range(3):
                values = images[:, channel].astype(np.uint32)
                total[channel] += int(values.sum(dtype=np.uint64))
                squares[channel] += int((values * values).sum(dtype=np.uint64))
        both = list(zip(total, squares, strict=True))
        mean = [s / (255 * pixels) for s, _ in both]
        std = [math.sqrt((q * pixels - s * s) / (pixels * pixels)) / 255 for s, q in both]
        if not all(std):
            raise BadInput(f"{where}: all training images are of one value in channel {std.index(0)}: nothing to learn")
        return Constants((mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))


class OwnImages(DataSet):
    """A data set whose `mean` and `std` are those of its training images, which a subclass reads when first asked."""

    where: str
    """What messages call it."""

    @property
    @abstractmethod
    def constants(self) -> Constants:
        """Of the training images."""

    @abstractmethod
    def counts(self) -> dict[str, int]:
        """Images of `train`, `val` and `test`."""

    @abstractmethod
    def take(self, split: str, indices: np.ndarray) -> Split:
        """These images of a split."""

    @property
    def mean(self) -> Channels:  # type: ignore[override]  # read when asked for; nobody sets it
        return self.constants.mean

    @property
    def std(self) -> Channels:  # type: ignore[override]
        return self.constants.std

    @property
    def pad(self) -> int:  # type: ignore[override]  # as CIFAR's 4 of 32
        return self.size // 8

    def split(self, name: str) -> Split:
        """All images of `train`, `val` or `test`. Raises BadUsage for others, BadInput for one that has no images."""
        counts = self.counts()
        if name not in counts:
            raise unknown(f"split of {self.where}", name, counts)
        if not counts[name]:
            raise BadInput(f"{self.where} has no images for the split '{name}': add some")
        return self.take(name, np.arange(counts[name]))

    def training_images(self, seed: int, count: int) -> Split:
        """`count` different images of `train`, drawn by (name, seed); a larger count adds to a smaller one.

        Raises BadUsage for more images than `train` has.
        """
        available = self.counts()["train"]
        if count > available:
            raise BadUsage(f"{self.where} has {available} training images, and {count} are wanted at once: add images")
        return self.take("train", draw(self.name, seed, count, available))

    def _hash(self, split: Split) -> str:
        """Of the constants too: they change the normalised pixels, and an image outside the batch changes them."""
        return content_hash([split.images, split.labels, np.array(self.constants)])


def by_content(labels: Sequence[int], digests: Sequence[str]) -> list[int]:
    """The order of one's own images: by class, in a class by hash. Neither names nor the order they came in count."""
    return sorted(range(len(labels)), key=lambda at: (labels[at], digests[at]))


def held_out(labels: np.ndarray, share: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each class the first of `share` equal parts, rounded down, and the rest: indices, ascending.

    In the order of `by_content` that is a draw that no seed, no name and no other class has a part in.
    """
    of_class = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    first = np.sort(np.concatenate([at[: len(at) // share] for at in of_class]))
    return first, np.setdiff1d(np.arange(len(labels)), first)
