"""GraSP: how much the flow of gradients would feel the loss of each weight (ICLR 2020, arXiv 2002.07376)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from proxies.base import Proxy, Reference

if TYPE_CHECKING:
    from proxies.probe import Probe


@dataclass(frozen=True)
class GraSP(Proxy):
    """-Sum over the weights w of convolutions and the classifier of w H g.

    g = dL/dw, H the Hessian of L, L as in `snip`: one batch and no temperature. The pruning paper removes the weights
    of largest -w H g; as a proxy, larger is better.
    """

    name: ClassVar[str] = "grasp"
    family: ClassVar[str] = "gradient"
    needs: ClassVar[tuple[str, ...]] = ("forward", "hessian_gradient")
    reference: ClassVar[Reference] = Reference(
        title="Picking Winning Tickets Before Training by Preserving Gradient Flow",
        year=2020,
        arxiv="2002.07376",
        bibtex="""@inproceedings{wang2020grasp,
  title     = {Picking Winning Tickets Before Training by Preserving Gradient Flow},
  author    = {Wang, Chaoqi and Zhang, Guodong and Grosse, Roger},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year      = {2020}
}""",
        reported="Spearman .505 CIFAR-10, .498 CIFAR-100 on the valid cells (as rerun by VKDNW, CVPR 2025)",
    )

    def score(self, student: Probe, teacher: Probe) -> float:
        products = student.hessian_gradient
        return -sum((weight * products[name]).sum().item() for name, weight in student.weights.items())
