"""Epsilon: how far a network's outputs move when all its weights are one constant, and then another (2023).

There is no draw in it: the score depends on the architecture and the images alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.errors import BadUsage
from proxies.base import NotApplicable, Proxy, Reference

if TYPE_CHECKING:
    import torch

    from probe.calls import Call
    from probe.network import Probe


@dataclass(frozen=True)
class Epsilon(Proxy):
    """mean |u - v| / mean of u and v, u and v [B] the outputs under the weights `low` and `high`, scaled to [0, 1].

    Every weight is the constant, those of batch norms too, and every bias 0. Each of u and v is brought to [0, 1] by
    its own minimum and maximum; entries that are then exactly 0, its minima, are left out of both means, and of
    |u - v| where either is. All logits are equal then, so the first stands for the one output of the authors' networks.
    Batch norms normalise over the batch, as theirs do, which keep no statistics. 1e-7 and 1 are the widest window of
    their search for the two. In float64, in which a large network's outputs under `low` underflow later than in
    theirs; NaN where they do, and where an output is constant. NotApplicable where that is the work of a norm over
    channels, which are all alike.
    """

    name = "epsilon"
    least = 3
    family = "weights"
    needs = ("forward", "weights")
    reference = Reference(
        title="Neural Architecture Search Using Two Constant Shared Weights Initialisations",
        year=2023,
        arxiv="2302.04406",
        bibtex="gracheva2023epsinas",
    )

    low: float = 1e-7
    high: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("low", "high"):
            if not 0 < getattr(self, name) < math.inf:
                raise BadUsage(f"epsilon: {name} must be positive and finite, not {getattr(self, name)}")

    def score(self, student: Probe, teacher: Probe) -> float:
        import torch

        both = torch.stack([_outputs(student, weight) for weight in (self.low, self.high)])
        counted = both != 0
        distance = (both[0] - both[1]).abs()[counted.all(0)].mean()
        return (distance / both[counted].mean()).item()


def _outputs(student: Probe, weight: float) -> torch.Tensor:
    """The first logit of every image [B] with all weights equal, scaled to [0, 1]."""
    import torch

    from probe.calls import Kind

    constants = {
        name: torch.full_like(value, 0.0 if name.endswith("bias") else weight, dtype=torch.float64)
        for name, value in student.parameters.items()
    }
    norms: list[str] = []

    def observe(call: Call) -> Any:
        if call.kind is Kind.OTHER_NORM:
            norms.append(call.said)
        return call.run()

    with torch.no_grad():
        found = student.run(student.images.double(), observe, constants).logits[:, 0]
    if norms and found.min() == found.max():
        raise NotApplicable(f"with equal weights all channels are alike, and {norms[0]} leaves nothing of the images")
    return (found - found.min()) / (found.max() - found.min())
