"""GraSP: how much the flow of gradients would feel the loss of each weight (ICLR 2020, arXiv 2002.07376)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxies.base import Proxy, Reference

if TYPE_CHECKING:
    from probe.network import Probe


@dataclass(frozen=True)
class GraSP(Proxy):
    """-Sum over the weights w of convolutions and the classifier of w H g.

    g = dL/dw, H the Hessian of L, L as in `snip`: one batch and no temperature. The pruning paper removes the weights
    of largest -w H g; as a proxy, larger is better.
    """

    name = "grasp"
    family = "gradient"
    needs = ("forward", "hessian_gradient")
    reference = Reference(
        title="Picking Winning Tickets Before Training by Preserving Gradient Flow",
        year=2020,
        arxiv="2002.07376",
        bibtex="wang2020grasp",
        reported="Spearman .505 CIFAR-10, .498 CIFAR-100 on the valid cells (as rerun by VKDNW, CVPR 2025)",
    )

    def score(self, student: Probe, teacher: Probe) -> float:
        products = student.hessian_gradient
        return -sum((weight * products[name]).sum().item() for name, weight in student.weights.items())
