"""Training images in the order in which all students of a seed see them, as bytes on the device that trains."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
import torch

from common.errors import BadUsage
from common.files import content_hash

Border = Literal["constant", "reflect"]
"""What the pixels around an image show: black, or the image mirrored at its outermost pixels."""


class Pixels(Protocol):
    """What a stream has to know of its data set: a name, by which images are drawn, side in pixels, mean and deviation
    per channel of pixels in 0..1.
    """

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def mean(self) -> tuple[float, ...]: ...
    @property
    def std(self) -> tuple[float, ...]: ...


@dataclass(frozen=True)
class Resident:
    """Images uint8 [N, H + 2 pad, W + 2 pad, 3] with their border, and class numbers int64 [N], on a device."""

    images: torch.Tensor
    labels: torch.Tensor
    pad: int

    @staticmethod
    def of(
        images: np.ndarray, labels: np.ndarray, pad: int, device: torch.device, border: Border = "constant"
    ) -> Resident:
        """Images uint8 [N, 3, H, W] and labels [N] as a split has them; `border` as of `DataSet`."""
        padded = np.pad(images, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode=border).transpose(0, 2, 3, 1)
        return Resident(
            torch.from_numpy(np.ascontiguousarray(padded)).to(device), torch.from_numpy(labels).to(device), pad
        )

    @cached_property
    def hash(self) -> str:
        """Content hash of images and labels."""
        return content_hash([self.images.cpu().numpy(), self.labels.cpu().numpy()])


class Stream:
    """Batches of `batch` images: `order` [steps * batch] says which, `shifts` [., 2] where each is cut out of its
    padded image, in 0..2 pad, `flips` [.] whether it is mirrored. All is drawn beforehand: a step can be seen again.
    """

    def __init__(
        self,
        data_set: Pixels,
        resident: Resident,
        order: np.ndarray,
        shifts: np.ndarray,
        flips: np.ndarray,
        batch: int,
    ) -> None:
        device = resident.images.device
        self.resident = resident
        self.batch_size = batch
        self.steps = len(order) // batch
        self.hash = content_hash([np.frombuffer(resident.hash.encode(), np.uint8), order, shifts, flips])
        self._order, self._shifts, self._flips = (torch.from_numpy(a).to(device) for a in (order, shifts, flips))
        self._across = torch.arange(data_set.size, device=device)
        self._mean = torch.tensor(data_set.mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(data_set.std, device=device).view(1, 3, 1, 1)

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Images float32 [B, 3, H, W], normalised, channels last, and labels [B] of a step."""
        part = slice(step * self.batch_size, (step + 1) * self.batch_size)
        chosen, shift = self._order[part], self._shifts[part]
        rows = shift[:, :1] + self._across
        columns = shift[:, 1:] + self._across
        columns = torch.where(self._flips[part, None], columns.flip(1), columns)
        pixels = self.resident.images[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]
        return (pixels.permute(0, 3, 1, 2).float() / 255 - self._mean) / self._std, self.resident.labels[chosen]


def plain(data_set: Pixels, images: np.ndarray, labels: np.ndarray, batch: int, device: torch.device) -> Stream:
    """Every image once, in the order given, as it is."""
    count = len(labels)
    nothing = np.zeros((count, 2), np.int64), np.zeros(count, bool)
    return Stream(data_set, Resident.of(images, labels, 0, device), np.arange(count), *nothing, batch)


def augmented(
    data_set: Pixels, resident: Resident, seed: int, steps: int, batch: int, first: int | None = None
) -> Stream:
    """All images, or the `first` alone, in a new order every epoch, cut out at random and mirrored in half of the cases
    (He et al. 2016).

    Batches go on across the end of an epoch, so that all have one size. Drawn by (data set, seed); a longer stream of
    a seed begins with the shorter one. Raises BadUsage for more images than there are.
    """
    count, available = steps * batch, first or len(resident.labels)
    if available > len(resident.labels):
        raise BadUsage(f"cannot train on {first} images: {data_set.name} has {len(resident.labels)} for training")
    of_order, of_shifts, of_flips = map(
        np.random.default_rng, np.random.SeedSequence([*data_set.name.encode(), seed]).spawn(3)
    )
    epochs = [of_order.permutation(available) for _ in range(-(-count // available))]
    shifts = of_shifts.integers(0, 2 * resident.pad + 1, size=(count, 2))
    flips = of_flips.integers(0, 2, size=count).astype(bool)
    return Stream(data_set, resident, np.concatenate(epochs)[:count], shifts, flips, batch)
