"""Digit scenes: real handwritten digits that ship with scikit-learn, composed so that they tell architectures apart.

A scene is 16x16: one target digit under a random affine map, two smaller distractor digits, Gaussian noise; the label
is the target's. The 1,797 originals (8x8; Alpaydin & Kaynak, UCI 1998) are split into train, val and test *before*
composing, so no stroke is seen in two splits. Plain 8x8 digits saturate at 98 % and would rank only noise.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.errors import BadUsage
from images.base import DataSet, Split

if TYPE_CHECKING:
    import torch

    from images.stream import Stream

SIZE = 16
SPLIT_SEED = 201
HELD_OUT = {"val": 300, "test": 400}
"""Originals kept for each held-out split; the other 1,097 are for training."""
SCENES = {"val": 2000, "test": 4000}
"""Fixed scenes composed from the held-out originals."""

TARGET_SCALE = (0.55, 0.9)  # half-width of the digit in units of the scene's half-width
TARGET_ROTATION = 0.6  # radians, either way
TARGET_SHIFT = 0.35  # in units of the scene's half-width, either way, each axis
DISTRACTORS = 2
DISTRACTOR_SCALE = (0.3, 0.4)
DISTRACTOR_SHIFT = 0.75
NOISE = 0.1  # standard deviation; ink is 1


def _file() -> Path:
    """Where scikit-learn keeps its digits, 64 pixels and a label a line: read without importing it, which takes as long
    as all else that a worker does before its first score."""
    package = find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"


@cache
def _originals(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Ink 0..1 [N, 8, 8] and labels [N] of the originals of a split."""
    table = np.loadtxt(_file(), delimiter=",")
    images, labels = table[:, :-1], table[:, -1]
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    end_val = HELD_OUT["val"]
    end_test = end_val + HELD_OUT["test"]
    chosen = {"val": order[:end_val], "test": order[end_val:end_test], "train": order[end_test:]}[split]
    return images[chosen].reshape(-1, 8, 8) / 16, labels[chosen].astype(np.int64)


def _place(ink: np.ndarray, scale: np.ndarray, rotation: np.ndarray, shift: np.ndarray) -> torch.Tensor:
    """Digits [N, 8, 8] drawn into scenes [N, 16, 16]: scaled, rotated about their centre, then shifted; bilinear."""
    import torch
    import torch.nn.functional as F

    cos, sin = np.cos(rotation) / scale, np.sin(rotation) / scale
    linear = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], -2)  # scene to digit coordinates
    offset = -np.einsum("nij,nj->ni", linear, shift)
    theta = torch.from_numpy(np.concatenate([linear, offset[..., None]], -1))
    grid = F.affine_grid(theta, [len(ink), 1, SIZE, SIZE], align_corners=False)
    return F.grid_sample(torch.from_numpy(ink)[:, None], grid, align_corners=False)[:, 0]


def compose(split: str, count: int, rng: np.random.Generator) -> Split:
    """`count` scenes from the originals of a split: uint8 [N, 3, 16, 16], three equal channels.

    Where digits overlap the darker ink shows. Drawn in float64 and rounded, so that machines agree on every pixel.
    """
    ink, labels = _originals(split)
    target = rng.integers(len(ink), size=count)
    scenes = _place(
        ink[target],
        rng.uniform(*TARGET_SCALE, size=count),
        rng.uniform(-TARGET_ROTATION, TARGET_ROTATION, size=count),
        rng.uniform(-TARGET_SHIFT, TARGET_SHIFT, size=(count, 2)),
    )
    for _ in range(DISTRACTORS):
        distractor = _place(
            ink[rng.integers(len(ink), size=count)],
            rng.uniform(*DISTRACTOR_SCALE, size=count),
            rng.uniform(-np.pi, np.pi, size=count),
            rng.uniform(-DISTRACTOR_SHIFT, DISTRACTOR_SHIFT, size=(count, 2)),
        )
        scenes = scenes.maximum(distractor)
    noisy = scenes.numpy() + rng.normal(0, NOISE, size=(count, SIZE, SIZE))
    pixels = np.rint(np.clip(noisy, 0, 1) * 255).astype(np.uint8)
    return Split(np.repeat(pixels[:, None], 3, axis=1), labels[target])


class Digits(DataSet):
    """The digit scenes; training scenes are composed afresh for every seed."""

    name = "digits"
    classes = 10
    size = SIZE
    mean = (0.23, 0.23, 0.23)  # of 20,000 training scenes, as is std
    std = (0.30, 0.30, 0.30)
    pad = 0

    def split(self, name: str) -> Split:
        """`val` (2,000) or `test` (4,000) scenes, always the same; the training split is endless: `training_images`."""
        if name not in SCENES:
            raise BadUsage(f"digits has no fixed split '{name}': it has val and test, and fresh training images")
        rng = np.random.default_rng(np.random.SeedSequence([SPLIT_SEED, list(SCENES).index(name)]))
        return compose(name, SCENES[name], rng)

    def training_images(self, seed: int, count: int) -> Split:
        """`count` fresh scenes of `seed`; another count gives other scenes."""
        rng = np.random.default_rng(np.random.SeedSequence([SPLIT_SEED, len(SCENES), seed, count]))
        return compose("train", count, rng)

    def stream(
        self, seed: int, steps: int, batch: int, device: torch.device | str = "cpu", first: int | None = None
    ) -> Stream:
        """The fresh scenes of `seed`, each seen once: composing them anew is the augmentation. Raises BadUsage where
        only the `first` so many images are wanted.
        """
        if first is not None:
            raise BadUsage(f"digits cannot train on {first} images: it makes them anew, each is seen once")
        import torch

        from images.stream import plain

        drawn = self.training_images(seed, steps * batch)
        return plain(self, drawn.images, drawn.labels, batch, torch.device(device))


def load(name: str, data: Path | None) -> Digits:
    """The data set of a name in `images.registry`."""
    return Digits()
