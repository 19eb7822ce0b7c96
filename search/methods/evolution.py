"""DisWOT's evolution search as published, and regularised evolution."""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass

from search.choices import Architecture, Choices
from search.driver import Asking
from search.methods.base import Method, require

Scored = tuple[float, Architecture]


def _score(member: Scored) -> float:
    return member[0]


def _founders(size: int, space: Choices, draw: random.Random) -> Generator[Architecture, float | None, list[Scored]]:
    """Random architectures within the constraints, `size` of them that have a score."""
    members: list[Scored] = []
    while len(members) < size:
        candidate = space.drawn(draw)
        score = yield candidate
        if score is not None:
            members.append((score, candidate))
    return members


@dataclass(frozen=True)
class Evolve(Method):
    """`Evolve` is Algorithm 1 of DisWOT. Each iteration: draw `sample_ratio` of the population without replacement;
    take the `top_k` best of these; mutate one of them, chosen at random; a child outside the constraints, or without a
    score, is dropped (the iteration counts); otherwise it joins, and the member with the lowest score leaves.

    `iterations` 0: as many as the budget allows. The paper gives no values for its symbols. The released code differs
    (it mutates the worst, drops the oldest, and answers by test accuracy); none of that is done here.
    """

    name = "evolve"
    reference = "Dong, Li, Wei: DisWOT, CVPR 2023, Algorithm 1"

    population: int = 20
    sample_ratio: float = 0.5
    top_k: int = 5
    iterations: int = 0

    def __post_init__(self) -> None:
        require(self, population=self.population > 0, top_k=self.top_k > 0, iterations=self.iterations >= 0)
        require(self, sample_ratio=0 < self.sample_ratio <= 1)

    def search(self, space: Choices, draw: random.Random) -> Asking:
        """Ask for founders, then for a child in each iteration."""
        population = yield from _founders(self.population, space, draw)
        size = max(1, round(self.sample_ratio * self.population))
        for _ in range(self.iterations) if self.iterations else itertools.count():
            pool = draw.sample(population, size)
            _, parent = draw.choice(sorted(pool, key=_score, reverse=True)[: self.top_k])
            child = space.mutated(parent, draw)
            score = yield child
            if score is not None:
                population.append((score, child))
                population.remove(min(population, key=_score))


@dataclass(frozen=True)
class Regularised(Method):
    """Aging evolution: the best of `sample` members, drawn with replacement, is mutated; the oldest member leaves.

    Population and sample are those of `evolve`, so that what differs is who is a parent and who leaves.
    """

    name = "regularised"
    reference = "Real et al.: Regularized Evolution for Image Classifier Architecture Search, AAAI 2019"

    population: int = 20
    sample: int = 10

    def __post_init__(self) -> None:
        require(self, population=self.population > 0, sample=self.sample > 0)

    def search(self, space: Choices, draw: random.Random) -> Asking:
        """Ask for founders, then for one child after the other."""
        population = deque((yield from _founders(self.population, space, draw)), maxlen=self.population)
        while True:
            _, parent = max(draw.choices(population, k=self.sample), key=_score)
            child = space.mutated(parent, draw)
            score = yield child
            if score is not None:
                population.append((score, child))  # a full deque drops its oldest
