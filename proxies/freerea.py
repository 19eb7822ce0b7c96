"""What FreeREA's evolution ranks a population by (WACV 2023, arXiv 2207.05135): two scores of its own, and the sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from proxies.base import NotApplicable, Population, Proxy, Reference

if TYPE_CHECKING:
    import pandas as pd

    from probe.calls import Call
    from probe.network import Probe

FREEREA = Reference(
    title="FreeREA: Training-Free Evolution-based Architecture Search",
    year=2023,
    arxiv="2207.05135",
    bibtex="cavagnero2023freerea",
)


@dataclass(frozen=True)
class LogSynflow(Proxy):
    """Sum over weights w of |w| log(g + 1), g = dR/dw as in `synflow`: the magnitudes' flow without batch norms.

    R is the sum of the logits for an input of ones, every parameter replaced by its magnitude; g is not negative. The
    logarithm keeps few weights of huge gradients from being all of the sum. In float64.
    """

    name = "logsynflow"
    family = "weights"
    needs = ("weights",)
    reference = FREEREA

    def score(self, student: Probe, teacher: Probe) -> float:
        import torch

        from probe.calls import NORMS, SMOOTH, Kind

        magnitudes = {name: value.abs().double() for name, value in student.parameters.items()}
        weights = [magnitudes[name].requires_grad_() for name in student.weights]
        ones = torch.ones(1, *student.image_shape, dtype=torch.float64, device=weights[0].device)

        def follow(call: Call) -> Any:
            if call.kind in SMOOTH or call.kind in (Kind.CLIPPED, Kind.STATISTIC):
                raise NotApplicable(f"logsynflow follows a signal that grows without bounds, and here is {call.said}")
            return call.input if call.kind in NORMS else call.run()

        with torch.enable_grad():
            total = student.run(ones, follow, magnitudes).logits.sum()
            gradients = torch.autograd.grad(total, weights, materialize_grads=True)
        return sum((w.detach() * g.log1p()).sum().item() for w, g in zip(weights, gradients, strict=True))


@dataclass(frozen=True)
class SkipSpan(Proxy):
    """Mean over a cell's skip connections of how many nodes each passes over, target - source - 1; 0 without any.

    The authors call it the number of skip connections that help: one between neighbours has nothing to skip. Their
    code takes the mean that is here, dead connections too, and whatever operations stand on the way.
    """

    name = "skip_span"
    family = "counts"
    needs = ()
    sees = "cell"
    reference = FREEREA

    def score(self, student: Probe, teacher: Probe) -> float:
        from spaces.nb201.cell import SKIP, Cell

        if not isinstance(student.cell, Cell):
            raise NotApplicable("skip_span counts the skip connections of a cell, and this network is made of none")
        spans = [edge.target - edge.source - 1 for edge in student.cell.edges() if edge.operation == SKIP]
        return sum(spans) / len(spans) if spans else 0.0


@dataclass(frozen=True)
class FreeREA(Population):
    """sum_p s_p / (max |s_p| + 1e-9) over nwot, logsynflow and skip_span, the largest among the cells ranked.

    The authors' evolution takes the largest of the cells that it has met so far, and means of three draws of weights.
    Not ranks: which part counts how much depends on how its values are spread.
    """

    name = "freerea"
    reference = FREEREA

    @property
    def parts(self) -> tuple[str, ...]:
        """The three."""
        return "nwot", "logsynflow", "skip_span"

    def combine(self, columns: pd.DataFrame) -> pd.Series:
        """The sum of what the largest makes 1."""
        return (columns / (columns.abs().max() + 1e-9)).sum(axis=1)
