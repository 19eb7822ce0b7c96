"""Small folders of images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from images.base import Split


def pictures(count: int, seed: int, side: int = 16) -> np.ndarray:
    """Noise, uint8 [N, 3, side, side]."""
    return np.random.default_rng(seed).integers(0, 256, (count, 3, side, side), np.uint8)


def picture(path: Path, image: np.ndarray, **how: Any) -> None:
    """An image [3, H, W] in a file, in the format of its ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.transpose(1, 2, 0)).save(path, **how)


def write_folder(folder: Path, counts: Mapping[str, int], seed: int = 0, side: int = 16) -> Split:
    """folder/CLASS/N.png, so many of each class; the images in the order of classes and numbers."""
    images = pictures(sum(counts.values()), seed, side)
    labels = np.repeat(np.arange(len(counts)), [counts[name] for name in sorted(counts)])
    names = np.repeat(sorted(counts), [counts[name] for name in sorted(counts)])
    for number, (image, name) in enumerate(zip(images, names, strict=True)):
        picture(folder / name / f"{number}.png", image)
    return Split(images, labels)
