"""What DistPro's look-ahead costs: its passes timed side by side, taking turns, the teacher's reading left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from distill.comparison import Pair, begin
from distill.distpro import Search, Settings, Tensors, directional
from distill.pathways import Pathway
from distill.speed import take_turns
from distill.taps import Seen
from distill.training import learning_rate


@dataclass(frozen=True)
class Pass:
    """Median seconds of a pass of the inner loss, and their ratio to those of the first."""

    name: str
    seconds: float
    ratio: float


def measure(pair: Pair, pathways: list[Pathway], rounds: int, device: str = "cpu") -> list[Pass]:
    """A forward and backward pass, of which a difference quotient takes two more; a forward pass; one in forward mode;
    and a whole step of the search, the teacher included.
    """
    search = begin(pair, pathways, Settings(), 0, None, device)
    search.advance()  # so that there is momentum
    search.sgd.param_groups[0]["lr"] = learning_rate(search.recipe, 0)
    images, labels = search.train.batch(0)
    of_teacher = search.teacher.look(images)
    parameters: Tensors = dict(search.student.named_parameters())
    direction = {name: torch.ones_like(value) for name, value in parameters.items()}

    def inner() -> torch.Tensor:
        seen: Seen = search.student.train()(images)
        distances: torch.Tensor = search.pathways(of_teacher, seen)
        return F.cross_entropy(seen.logits, labels) + distances.sum()

    ways: dict[str, Callable[[], object]] = {
        "forward and backward": lambda: inner().backward(),
        "forward": inner,
        "forward mode": lambda: directional(
            lambda values: search.distances(values, images, of_teacher), parameters, direction
        ),
        "step of the search": lambda: _again(search),
    }
    seconds = take_turns(ways, rounds, torch.device(device))
    first = seconds["forward and backward"]
    return [Pass(name, value, value / first) for name, value in seconds.items()]


def _again(search: Search) -> None:
    search.step = 0
    search.advance()
