"""One search: a method asks for architectures, and is told their scores until its budget is spent."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import NamedTuple

from search.choices import Architecture, Choices


@dataclass(frozen=True)
class Glimpse:
    """A `Glimpse` asks what score an architecture has after a shorter training."""

    architecture: Architecture


Asking = Generator[Architecture | Glimpse, float | None, None]
"""A method at work: it yields an architecture and is sent its score, larger is better. None: it is outside the
constraints, or has no score."""


class Shorter(NamedTuple):
    """A `Shorter` trains architectures for less long: it gives their score, at a `price` in parts of an evaluation."""

    evaluate: Callable[[Architecture], float | None]
    price: float


PATIENCE = 10
"""A search ends when it has asked for this many times its budget: some ask for ever for what they know."""


class Step(NamedTuple):
    """A `Step` is an evaluation, counted from 1, that found a better architecture than all before."""

    evaluation: int
    architecture: Architecture


@dataclass
class Trace:
    """A `Trace` keeps what a search asked for. An architecture that is asked for again is not evaluated again."""

    scores: dict[Architecture, float | None] = field(default_factory=dict)
    """The evaluations, in their order."""
    asked: int = 0
    outside: int = 0
    """Of those asked for, how many the constraints forbid: they are never evaluated."""
    glimpses: dict[Architecture, float | None] = field(default_factory=dict)
    """The scores of shorter trainings, in their order; none of them is ever the answer."""

    @property
    def steps(self) -> list[Step]:
        """The improvements, the last of which is the answer; none where nothing has a score."""
        found: list[Step] = []
        best: float | None = None
        for evaluation, (architecture, score) in enumerate(self.scores.items(), start=1):
            if score is not None and (best is None or score > best):
                best = score
                found.append(Step(evaluation, architecture))
        return found

    @property
    def answer(self) -> Architecture | None:
        """The best-scoring architecture, of equal ones the first."""
        return self.steps[-1].architecture if self.steps else None

    @property
    def failed(self) -> int:
        """The number of evaluations without a score."""
        return sum(score is None for score in self.scores.values())


def drive(
    asking: Asking,
    space: Choices,
    evaluate: Callable[[Architecture], float | None],
    budget: int | None,
    shorter: Shorter | None = None,
) -> Trace:
    """Run a method until it ends by itself, has evaluated `budget` architectures or all there are, or lost `PATIENCE`.

    Only architectures of the space are evaluated. A glimpse costs its part of an evaluation, and the last thing asked
    for may not go beyond the budget. Without a budget a method has to end by itself.
    """
    trace = Trace()
    most = len(space.allowed) if budget is None else min(budget, len(space.allowed))
    reply: float | None = None
    for _ in range(PATIENCE * most):
        try:
            wanted = next(asking) if not trace.asked else asking.send(reply)
        except StopIteration:
            break
        trace.asked += 1
        if isinstance(wanted, Glimpse):
            assert shorter is not None  # a method that asks for glimpses is refused without
            architecture, known, price, ask = wanted.architecture, trace.glimpses, shorter.price, shorter.evaluate
        else:
            architecture, known, price, ask = wanted, trace.scores, 1.0, evaluate
        if architecture not in space:
            trace.outside += 1
            reply = None
            continue
        if architecture not in known:
            if _spent(trace, shorter) + price > most + _ROUNDING:
                break
            known[architecture] = ask(architecture)
        reply = known[architecture]
        if len(trace.scores) == most:
            break
    asking.close()
    return trace


_ROUNDING = 1e-9
"""Of a sum of prices."""


def _spent(trace: Trace, shorter: Shorter | None) -> float:
    """In evaluations."""
    return len(trace.scores) + (len(trace.glimpses) * shorter.price if shorter else 0.0)
