"""Random search, local search, and the ranking of the whole space."""

from __future__ import annotations

import random
from dataclasses import dataclass

from search.choices import Choices
from search.driver import Asking
from search.methods.base import Method


@dataclass(frozen=True)
class Random(Method):
    """`Random` takes the best of architectures drawn at random."""

    name = "random"
    reference = "Li, Talwalkar: Random Search and Reproducibility for Neural Architecture Search, UAI 2019"

    def search(self, space: Choices, draw: random.Random) -> Asking:
        """Ask for architectures drawn without replacement: one that is known would teach nothing."""
        left = draw.sample(space.allowed, len(space.allowed))
        while left:
            yield left.pop()


@dataclass(frozen=True)
class Local(Method):
    """`Local` climbs to the best neighbour as long as that is better, then begins anew at a random architecture."""

    name = "local"
    reference = "White, Nolen, Savani: Exploring the Loss Landscape in NAS, UAI 2021"

    def search(self, space: Choices, draw: random.Random) -> Asking:
        """Ask for neighbours in random order, for a budget may end among them."""
        while True:
            here = space.drawn(draw)
            score = yield here
            while score is not None:
                best = None
                near = list(space.neighbours(here))
                for other in draw.sample(near, len(near)):
                    found = yield other
                    if found is not None and found > score:
                        best, score = other, found
                if best is None:
                    break
                here = best


@dataclass(frozen=True)
class Rank(Method):
    """`Rank` evaluates every function once and takes the best: what every search by the same score tries to find."""

    name = "rank"
    reference = "Mellor et al.: Neural Architecture Search without Training, ICML 2021"
    exhaustive = True

    def search(self, space: Choices, draw: random.Random) -> Asking:
        """Ask for the functions in the order of the space."""
        left = space.one_of_each()[::-1]
        while left:
            yield left.pop()
