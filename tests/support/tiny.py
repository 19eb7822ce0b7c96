"""What the tests of training share: a recipe of a few steps, a data set of a few images, networks to compare."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from distill.recipes import Recipe, recipe
from distill.training import HeldOut
from images.base import DataSet, Split
from images.stream import Stream
from spaces.draw import Draw
from spaces.nb201.cell import Cell, cell_at
from spaces.nb201.network import CellNetwork
from spaces.nb201.skeleton import CellSkeleton
from spaces.stack import Stack

SKELETON = CellSkeleton(channels=4, cells_per_stage=1, classes=10, size=8)
TINY = replace(recipe("digits"), skeleton=SKELETON, epochs=2, epoch_steps=3, batch=8)
CELL = cell_at(9930)


class FewImages(DataSet):
    """Images of noise, 8x8 in colour: no two of them, shifted or mirrored, are alike."""

    classes = 10
    size = 8
    mean = (0.4, 0.5, 0.6)
    std = (0.2, 0.25, 0.3)
    pad = 2
    counts = {"train": 20, "val": 16, "test": 24}  # noqa: RUF012

    def __init__(self, name: str = "few") -> None:
        self.name = name

    def split(self, name: str) -> Split:
        rng = np.random.default_rng(list(self.counts).index(name))
        count = self.counts[name]
        return Split(rng.integers(0, 256, (count, 3, 8, 8), np.uint8), rng.integers(0, 10, count))

    def training_images(self, seed: int, count: int) -> Split:
        raise NotImplementedError


FEW = FewImages()


def stream_of(seed: int, plan: Recipe = TINY) -> Stream:
    return FEW.stream(seed, plan.steps, plan.batch)


def held_out(name: str) -> HeldOut:
    split = FEW.split(name)
    return HeldOut(FEW.normalise(split.images), torch.from_numpy(split.labels))


def student(plan: Recipe = TINY, cell: Cell = CELL, seed: int = 0) -> CellNetwork:
    return CellNetwork(cell, plan.skeleton, Draw(seed, plan.init))


def stack_of(seeds: list[int], streams: int = 1, cell: Cell = CELL, plan: Recipe = TINY) -> CellNetwork:
    return CellNetwork(cell, plan.skeleton, Stack([Draw(seed, plan.init) for seed in seeds], streams))


def said_by(seed: int, plan: Recipe = TINY) -> torch.Tensor:
    """Logits of a teacher that makes them up."""
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(plan.steps * plan.batch, plan.skeleton.classes, generator=generator)


def state(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def share(value: torch.Tensor, number: int, of: int) -> torch.Tensor:
    """The values of one network of a stack, in a row; a step counter is everybody's."""
    return value.reshape(of, -1)[number] if value.ndim else value.reshape(1)
