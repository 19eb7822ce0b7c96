"""Networks of a space of their own for tests of probes: any build of a skeleton and a draw."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import nn

from images.base import Batch
from probe.network import Probe
from probe.views import views
from proxies.testing import make_batch, make_noise
from spaces.draw import Draw
from spaces.space import Skeleton


@dataclass(frozen=True)
class StackSkeleton(Skeleton):
    """Of a network whose counts nobody asks for."""

    channels: int = 4
    classes: int = 5
    size: int = 8

    @property
    def width(self) -> int:
        return self.channels

    @property
    def described(self) -> str:
        return "some layers"

    def record(self) -> dict[str, Any]:
        return {}

    def count_parameters(self, architecture: Any) -> int:
        return 4

    def count_multiply_adds(self, architecture: Any) -> int:
        return 4

    def count_layers(self, architecture: Any) -> int:
        return 4

    def most_parameters(self) -> int:
        return 4


Build = Callable[[Skeleton, Draw], nn.Module]


def drawn(seed: int = 0) -> Draw:
    return Draw(seed, momentum=0.0)


def space_probe(
    build: Build, batch: Batch, needs: Iterable[str], network: nn.Module | None = None, seed: int = 0
) -> Probe:
    """The probe of a network, or of the one that is built, as of a network of a space: with all views."""
    given = network or build(StackSkeleton(), drawn(seed))
    count = len(batch.labels)
    second = make_batch(count, seed=1)
    further = views(StackSkeleton(), count, lambda: second, make_noise, lambda skeleton: build(skeleton, drawn(seed)))
    return Probe(None, StackSkeleton(), lambda: given, lambda: batch, needs, further)  # type: ignore[arg-type]
