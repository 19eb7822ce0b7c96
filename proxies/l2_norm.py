"""The size of the weights as drawn, without data: a count in disguise (ICLR 2021, arXiv 2101.08134)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from proxies.base import Proxy
from proxies.grad_norm import GradNorm

if TYPE_CHECKING:
    from probe.network import Probe


@dataclass(frozen=True)
class L2Norm(Proxy):
    """Sum over convolutions and the classifier of |W|, the L2 norm of the weight; dead operations count too."""

    name = "l2_norm"
    family = "weights"
    needs = ("weights",)
    sees = "cell"
    reference = replace(
        GradNorm.reference, reported="Spearman .746 CIFAR-10 on the valid cells (scores of NAS-Bench-Suite-Zero)"
    )

    def score(self, student: Probe, teacher: Probe) -> float:
        return sum(weight.norm().item() for weight in student.weights.values())
