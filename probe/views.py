"""Further probes of a cell, for proxies that look at other images, or at another network, than the scoring batch's.

`VIEWS` (proxies/base.py) names them. A view is a probe like any other, made when a proxy declares a need of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import nn

    from images.base import Batch
    from spaces.space import Skeleton

LARGE = 64
"""Side in pixels of the `large` image: the last stage's map then has more pixels than channels."""
THIN_IMAGES = 3000


class View(NamedTuple):
    """How a further probe differs from the one it belongs to: None is no difference."""

    batch: Callable[[], Batch] | None = None
    skeleton: Skeleton | None = None
    build: Callable[[], nn.Module] | None = None


def views(
    skeleton: Skeleton,
    count: int,
    second: Callable[[], Batch],
    noise: Callable[[str, int, int], Batch],
    build: Callable[[Skeleton], nn.Module],
) -> dict[str, View]:
    """The views of a network on `skeleton` observed on a batch of `count` images, by name.

    `second` gives the second batch, `noise` that of a name, a number of images and their side in pixels, `build` the
    cell's network on another skeleton.
    """
    small, thin = skeleton.small(), skeleton.thin()
    return {
        "second": View(second),
        "noise": View(partial(noise, "noise", count, skeleton.size)),
        "large": View(partial(noise, "large", 1, LARGE)),
        "small": View(None, small, partial(build, small)),
        "thin": View(partial(noise, "thin", THIN_IMAGES, thin.size), thin, partial(build, thin)),
    }
