"""Images and labels that say nothing: what data-free proxies look at."""

from __future__ import annotations

import hashlib

import torch

from common.errors import BadInput
from common.files import content_hash
from images.base import Batch


def noise(name: str, seed: int, count: int, side: int, classes: int) -> Batch:
    """`count` images [3, side, side] of independent N(0, 1) pixels, labels uniform over the classes.

    Drawn on the CPU by (name, seed): equal arguments give equal images, whatever was drawn before. Raises BadInput
    where there are no classes.
    """
    if classes < 1:
        raise BadInput("labels cannot be drawn for a network that scores no classes")
    key = hashlib.blake2b(f"noise/{name}/{seed}".encode(), digest_size=8)
    generator = torch.Generator().manual_seed(int.from_bytes(key.digest(), "little", signed=True))
    images = torch.randn(count, 3, side, side, generator=generator)
    labels = torch.randint(classes, (count,), generator=generator)
    return Batch(images, labels, content_hash([images.numpy(), labels.numpy()]))
