"""Plain: weights times gradients, signs kept (ICLR 2021, arXiv 2101.08134)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from proxies.base import Proxy
from proxies.grad_norm import GradNorm

if TYPE_CHECKING:
    from probe.network import Probe


@dataclass(frozen=True)
class Plain(Proxy):
    """Sum over the weights w of convolutions and the classifier of w dL/dw, L as in `snip`.

    A batch norm undoes a scaling of the convolution in front of it, so that convolution's sum is 0 but for rounding
    and the norm's epsilon: what is left is the share of the classifier and of the convolutions without a norm, those
    in the shortcuts of the reductions. The sign means nothing, and the correlation is negative.
    """

    name = "plain"
    family = "gradient"
    needs = ("forward", "gradients")
    reference = replace(
        GradNorm.reference, reported="Spearman -.352 CIFAR-10 on the valid cells (scores of NAS-Bench-Suite-Zero)"
    )

    def score(self, student: Probe, teacher: Probe) -> float:
        gradients = student.gradients
        return sum((weight * gradients[name]).sum().item() for name, weight in student.weights.items())
