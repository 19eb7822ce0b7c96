"""What of all that a network returns are its class scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from common.errors import BadInput
from probe.calls import LAYERS
from probe.module.recorder import IMAGES, Node, Recorder, tensors

PROBABILITIES = ("softmax", "softmin", "sigmoid", "expit", "logsigmoid", "log_softmax")
"""What makes probabilities of class scores, or their logarithms."""


class Recording(NamedTuple):
    """One run on so many images: the calls, what was returned, and what the runs of each module read and put out."""

    images: int
    recorder: Recorder
    returned: Any
    modules: Mapping[str, Sequence[tuple[int | None, int | None]]]


def logits_of(returned: Any, choice: int = 0) -> torch.Tensor:
    """The logits in what a network returns: a tensor, its part named `logits`, or one of its tensors."""
    alone = _alone(returned)
    if alone is not None:
        return alone
    found = list(_returned(returned))
    return found[choice if choice < len(found) else 0]


def _alone(returned: Any) -> torch.Tensor | None:
    """The tensor that is returned, or the one named `logits`."""
    named = returned.get("logits") if isinstance(returned, Mapping) else getattr(returned, "logits", returned)
    return named if isinstance(named, torch.Tensor) else None


def _returned(returned: Any) -> Iterator[torch.Tensor]:
    return tensors(returned if isinstance(returned, Mapping | tuple | list) else getattr(returned, "__dict__", None))


def find_logits(network: nn.Module, run: Recording) -> tuple[int, int]:
    """Which of the tensors that are returned are the logits, and the call that made them.

    Raises BadInput where none are, or several may be.
    """
    nodes, alone = run.recorder.nodes, _alone(run.returned) is not None
    found = [] if alone else list(_returned(run.returned))
    made = {place: run.recorder.number(one) for place, one in enumerate(found) if one.ndim == 2}
    scores = _scores(nodes, {place: number for place, number in made.items() if number not in (None, IMAGES)})
    choice = next(iter((*scores, *made)), 0)
    wanted = "return class scores [images, classes], or something with these as `logits`"
    if not alone and not found:
        raise BadInput(f"{type(network).__name__} returns {type(run.returned).__name__} without a tensor: {wanted}")
    logits = logits_of(run.returned, choice)
    number = run.recorder.number(logits)
    if logits.ndim == 2 and logits.shape[0] == run.images and number is None:
        raise BadInput(
            f"{type(network).__name__} returns class scores that no call of PyTorch makes from the images: let forward "
            "compute with tensors alone, without .numpy(), .tolist() or .item() on the way"
        )
    if logits.ndim != 2 or logits.shape[0] != run.images or number is None or number == IMAGES:
        raise BadInput(f"{type(network).__name__} returns {list(logits.shape)} for {run.images} images: {wanted}")
    if len(made) > 1 and not scores:
        raise BadInput(f"{type(network).__name__} returns {len(made)} tensors that may be class scores: {wanted}")
    return choice, number


def _scores(nodes: Sequence[Node], made: Mapping[int, int]) -> list[int]:
    """The places of what calls put out that is made of a layer which no other layer reads: scores, and not features.

    Probabilities come last.
    """
    nearest: list[frozenset[int]] = []
    """For each call the layers that it goes back to, without one in between."""
    read: set[int] = set()
    for number, node in enumerate(nodes):
        before = frozenset[int]().union(*(nearest[one] for one in node.inputs if one != IMAGES))
        if node.kind in LAYERS:
            read |= before
        nearest.append(frozenset([number]) if node.kind in LAYERS else before)
    found = [place for place, number in made.items() if nearest[number] - read]
    return sorted(found, key=lambda place: nodes[made[place]].name in PROBABILITIES)
