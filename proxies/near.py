"""NEAR: of how many independent directions the activations of every layer make use (ICLR 2025, arXiv 2408.08776)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from proxies.base import NotApplicable, Proxy, Reference

if TYPE_CHECKING:
    import torch

    from probe.calls import Call
    from probe.network import Probe


def effective_rank(activations: torch.Tensor) -> float:
    """exp (-sum p log p), p = s / sum s, s the singular values of [N, C]; 0 for a matrix of zeros.

    The singular values are the roots of the eigenvalues of A^T A, in float64: N is much larger than C.
    """
    import torch

    exact = activations.double()
    products = exact.T @ exact
    if products.isnan().any():  # the eigensolver would raise
        return math.nan
    singular = torch.linalg.eigvalsh(products).clamp(min=0).sqrt()
    if not singular.any():
        return 0.0
    shares = singular / singular.sum()
    return torch.special.entr(shares).sum().exp().item()


@dataclass(frozen=True)
class NEAR(Proxy):
    """Sum over layers of the effective rank of their output [B H W, C]: what comes before and after an activation.

    Layers are, as in the authors' code, convolutions, linear layers, norms and activations. It draws C rows of each
    output at random; here all rows count, so nothing is drawn. The weights of attention are no layer's output.
    """

    name = "near"
    family = "activation"
    needs = ("forward", "weights")
    sees = "executed"
    reference = Reference(
        title="NEAR: A Training-Free Pre-Estimator of Machine Learning Model Performance",
        year=2025,
        arxiv="2408.08776",
        bibtex="husistein2025near",
    )

    def score(self, student: Probe, teacher: Probe) -> float:
        import torch

        from probe.calls import Kind

        ranks: list[float] = []

        def observe(call: Call) -> Any:
            if call.kind in (Kind.STATISTIC, Kind.BEND):
                raise NotApplicable(f"near ranks what layers put out, and where {call.said} ends is not known")
            output = call.run()
            if call.kind is not Kind.ATTENTION:
                ranks.append(call.uses * effective_rank(call.rows(output)))  # one ReLU may stand for several
            return output

        with torch.no_grad():
            student.run(student.images, observe)
        return sum(ranks)
