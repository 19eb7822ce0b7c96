"""What a data set offers: splits of uint8 images for training, and seeded, normalised batches for scoring."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from common.errors import BadUsage
from common.files import content_hash

if TYPE_CHECKING:
    import torch

    from images.stream import Border, Resident, Stream


@dataclass(frozen=True)
class Split:
    """Images uint8 [N, 3, H, W] and class numbers int64 [N]."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Batch:
    """Images float32 [B, 3, H, W], normalised per channel, class numbers int64 [B], and their content hash."""

    images: torch.Tensor
    labels: torch.Tensor
    hash: str


class DataSet(ABC):
    """A classification data set with splits `train`, `val` (where it has one) and `test`.

    `mean` and `std` are per channel, of pixels scaled to 0..1; `size` is the side of the square image in pixels.
    """

    name: str
    classes: int
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    pad: int
    """Pixels around a training image before it is cut out again at a random place."""
    border: Border = "constant"
    """What these pixels show."""

    @abstractmethod
    def split(self, name: str) -> Split:
        """All images of one split, undisturbed by augmentation, in a fixed order."""

    def training_images(self, seed: int, count: int) -> Split:
        """`count` training images drawn by `seed`: equal seeds give equal images, whatever was drawn before.

        Different images of the `train` split; override it where not all of them should be read for that, or where
        images are made anew. Raises BadUsage for more images than there are.
        """
        train = self.split("train")
        chosen = draw(self.name, seed, count, len(train))
        return Split(train.images[chosen], train.labels[chosen])

    def stream(
        self, seed: int, steps: int, batch: int, device: torch.device | str = "cpu", first: int | None = None
    ) -> Stream:
        """What the students of `seed` train on: the `train` split, or its `first` images alone, in a new order every
        epoch, augmented. Raises BadUsage for more images than there are.
        """
        import torch

        from images.stream import Resident, augmented

        device = torch.device(device)
        if device not in self._residents:
            train = self.split("train")
            self._residents[device] = Resident.of(train.images, train.labels, self.pad, device, self.border)
        return augmented(self, self._residents[device], seed, steps, batch, first)

    @cached_property
    def _residents(self) -> dict[torch.device, Resident]:
        return {}

    def normalise(self, images: np.ndarray) -> torch.Tensor:
        """(x / 255 - mean) / std per channel: uint8 [N, 3, H, W] to float32 of the same shape."""
        import torch

        mean = torch.tensor(self.mean).view(1, 3, 1, 1)
        std = torch.tensor(self.std).view(1, 3, 1, 1)
        return (torch.from_numpy(images).float() / 255 - mean) / std

    def batch(self, size: int, seed: int) -> Batch:
        """The scoring batch of `seed`: `size` training images without augmentation."""
        return self._normalised(self.training_images(seed, size))

    def second_batch(self, size: int, seed: int) -> Batch:
        """As many images again, none of them in the scoring batch of `seed`."""
        both = self.training_images(seed, 2 * size)
        return self._normalised(Split(both.images[size:], both.labels[size:]))

    def _normalised(self, split: Split) -> Batch:
        import torch

        return Batch(
            images=self.normalise(split.images),
            labels=torch.from_numpy(split.labels),
            hash=self._hash(split),
        )

    def _hash(self, split: Split) -> str:
        """Content hash of a batch."""
        return content_hash([split.images, split.labels])


def draw(name: str, seed: int, count: int, available: int) -> np.ndarray:
    """`count` different indices below `available`, int64, drawn by (name, seed); a larger count adds to a smaller one.

    Raises BadUsage for a count outside 1..available or a negative seed.
    """
    if not 1 <= count <= available:
        raise BadUsage(f"cannot draw {count} images: {name} has {available} for training; ask for 1 to {available}")
    if seed < 0:
        raise BadUsage(f"cannot draw images by seed {seed}: give 0 or more")
    return np.random.default_rng(np.random.SeedSequence([*name.encode(), seed])).permutation(available)[:count]
