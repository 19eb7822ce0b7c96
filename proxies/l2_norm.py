"""The size of the weights as drawn, without data: a count in disguise (ICLR 2021, arXiv 2101.08134)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from proxies.base import Proxy, Reference
from proxies.grad_norm import GradNorm

if TYPE_CHECKING:
    from proxies.probe import Probe


@dataclass(frozen=True)
class L2Norm(Proxy):
    """Sum over convolutions and the classifier of |W|, the L2 norm of the weight; dead operations count too."""

    name: ClassVar[str] = "l2_norm"
    family: ClassVar[str] = "weights"
    needs: ClassVar[tuple[str, ...]] = ("weights",)
    sees: ClassVar[str] = "cell"
    reference: ClassVar[Reference] = replace(
        GradNorm.reference, reported="Spearman .746 CIFAR-10 on the valid cells (scores of NAS-Bench-Suite-Zero)"
    )

    def score(self, student: Probe, teacher: Probe) -> float:
        return sum(weight.norm().item() for weight in student.weights.values())
