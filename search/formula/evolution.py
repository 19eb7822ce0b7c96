"""Evolution of formulas: founders at random, then tournaments, crossover and mutation, until a budget is spent.

What a search does next follows from what it has judged: the population is the best of all so far, and generation g
draws from a generator keyed by the run and g. So a search that is killed goes on from its last whole generation to the
same end.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from common.errors import BadUsage
from search.formula.expression import Formula, made, parse
from search.formula.functions import Functions, mean_values
from search.formula.names import LEAVES
from search.formula.operations import ARITY, BINARY, UNARY
from search.formula.store import FormulaStore, Judged

OK, SAME, CONSTANT, NONFINITE = "ok", "same", "constant", "nonfinite"
"""Verdicts: only `ok` may have children. `same` ranks as one that was judged before, by equal fitness."""


@dataclass(frozen=True)
class Evolution:
    """Fields of the search. A run judges `budget` different formulas, of at most `depth` operations in a row and `size`
    operations and statistics; each generation as many as the `population` is large. A parent is the best of
    `tournament` members drawn with replacement; with odds of `crossover` a part of one parent replaces a part of
    another, else the parent mutates."""

    budget: int = 10_000
    population: int = 200
    tournament: int = 5
    crossover: float = 0.5
    depth: int = 6
    size: int = 25

    def __post_init__(self) -> None:
        counts = {"budget": self.budget, "population": self.population, "tournament": self.tournament}
        for name, value in (counts | {"depth": self.depth, "size": self.size}).items():
            if value < 1:
                raise BadUsage(f"--{name} {value}: must be at least 1")
        if not 0 <= self.crossover <= 1:
            raise BadUsage(f"--crossover {self.crossover}: expected 0 to 1")

    def allows(self, formula: Formula) -> bool:
        """Whether a formula is neither too deep nor too large."""
        return formula.depth <= self.depth and formula.size <= self.size


@dataclass
class Archive:
    """All that a search has judged; `ranked` are the `ok` ones, best first: the higher fitness, then the shorter.

    Each is (-fitness, size, text, formula).
    """

    verdicts: Counter[str]
    texts: set[str]
    fitnesses: set[float]
    ranked: list[tuple[float, int, str, Formula]]

    @classmethod
    def of(cls, generations: Iterable[Iterable[Judged]]) -> Archive:
        """What a search had judged before."""
        archive = cls(Counter(), set(), set(), [])
        for generation in generations:
            archive.add(generation)
        return archive

    def add(self, generation: Iterable[Judged]) -> None:
        """Take in a generation."""
        for text, verdict, fitness in generation:
            self.verdicts[verdict] += 1
            self.texts.add(text)
            if verdict == OK and fitness is not None:
                self.fitnesses.add(_told(fitness))
                formula = parse(text)
                self.ranked.append((-fitness, formula.size, text, formula))
        self.ranked.sort()

    @property
    def best(self) -> tuple[float, Formula]:
        """The fitness and the formula of the first."""
        negated, _, _, formula = self.ranked[0]
        return -negated, formula

    @property
    def judged(self) -> int:
        """How many formulas."""
        return self.verdicts.total()


def _told(fitness: float) -> float:
    """As far as two rankings are told apart."""
    return round(fitness, 12)


@dataclass(frozen=True)
class Search:
    """One run on the functions and labels that it may see. `key` begins the key of its generators."""

    key: str
    evolution: Evolution
    seeds: Sequence[Functions]
    """The functions' statistics with each seed; the mean over seeds counts."""
    fitness: Callable[[np.ndarray], float]

    def run(self, store: FormulaStore, number: int, said: Callable[[int], None]) -> Archive:
        """Judge until the budget is spent; what was judged before is not judged again. `said` gets counts of new."""
        before = store.judged(number)
        archive = Archive.of(before)
        said(archive.judged)
        for generation in range(len(before), self.evolution.budget):
            left = self.evolution.budget - archive.judged
            found = self._generation(archive, generation, min(left, self.evolution.population)) if left > 0 else []
            if not found:  # nothing new comes up any more, or the budget is spent
                break
            store.judge(number, generation, found)
            archive.add(found)
            said(len(found))
        return archive

    def _generation(self, archive: Archive, number: int, wanted: int) -> list[Judged]:
        """New formulas and their verdicts: `wanted`, or fewer where too many come up again."""
        draw = random.Random(f"{self.key} {number}")
        coming = self._children(archive, draw) if number and archive.ranked else self._founders(draw)
        found: list[Judged] = []
        texts, fitnesses = set(archive.texts), set(archive.fitnesses)
        for _, formula in zip(range(100 * wanted), coming, strict=False):
            text = str(formula)
            if text in texts or not self.evolution.allows(formula):
                continue
            texts.add(text)
            found.append(self.judge(formula, fitnesses))
            if len(found) == wanted:
                break
        return found

    def judge(self, formula: Formula, fitnesses: set[float]) -> Judged:
        """The verdict on a formula; its fitness joins those that were there."""
        values = mean_values(self.seeds, formula)
        if not np.isfinite(values).all():
            return Judged(str(formula), NONFINITE, None)
        fitness = self.fitness(values) if np.ptp(values) > 0 else math.nan
        if math.isnan(fitness):
            return Judged(str(formula), CONSTANT, None)
        known = _told(fitness) in fitnesses
        fitnesses.add(_told(fitness))
        return Judged(str(formula), SAME if known else OK, fitness)

    def _founders(self, draw: random.Random) -> Iterator[Formula]:
        """Random trees of all depths up to half of the deepest."""
        while True:
            yield random_formula(draw, draw.randint(1, max(1, self.evolution.depth // 2)))

    def _children(self, archive: Archive, draw: random.Random) -> Iterator[Formula]:
        population = archive.ranked[: self.evolution.population]

        def parent() -> Formula:
            return population[min(draw.randrange(len(population)) for _ in range(self.evolution.tournament))][-1]

        while True:
            if draw.random() < self.evolution.crossover:
                yield crossed(parent(), parent(), draw)
            else:
                yield mutated(parent(), draw)


def random_formula(draw: random.Random, depth: int) -> Formula:
    """A tree that grows at random, no deeper than this; on the way down every fourth branch ends early."""
    if depth == 0 or draw.random() < 0.25:
        return Formula(draw.choice(LEAVES))
    name = draw.choice([*UNARY] if draw.random() < 0.4 else [*BINARY])
    return made(name, *(random_formula(draw, depth - 1) for _ in range(ARITY[name])))


def crossed(mother: Formula, father: Formula, draw: random.Random) -> Formula:
    """The mother with one of her parts replaced by one of the father's, each part equally likely."""
    way, _ = draw.choice([*mother.subtrees()])
    _, part = draw.choice([*father.subtrees()])
    return mother.with_part(way, part)


def mutated(formula: Formula, draw: random.Random) -> Formula:
    """One of four changes of one part, each equally likely: a new tree in its place, another name for it, an operation
    around it, or a part of it in its place."""
    way, part = draw.choice([*formula.subtrees()])
    change = draw.randrange(4)
    if change == 0:
        return formula.with_part(way, random_formula(draw, 2))
    if change == 1:
        return formula.with_part(way, _renamed(part, draw))
    if change == 2:
        return formula.with_part(way, _wrapped(part, draw))
    return formula.with_part(way, draw.choice([*part.subtrees()])[1])


def _renamed(part: Formula, draw: random.Random) -> Formula:
    """Another statistic, or another operation of as many parts."""
    among = LEAVES if not part.parts else [*UNARY] if len(part.parts) == 1 else [*BINARY]
    return made(draw.choice([name for name in among if name != part.name]), *part.parts)


def _wrapped(part: Formula, draw: random.Random) -> Formula:
    """An operation on the part, and on a random statistic if it takes two, on either side."""
    name = draw.choice([*ARITY])
    if ARITY[name] == 1:
        return made(name, part)
    parts = [part, Formula(draw.choice(LEAVES))]
    return made(name, *(parts if draw.random() < 0.5 else reversed(parts)))
