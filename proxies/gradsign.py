"""GradSign: do the images of a batch agree on the direction of descent? (ICLR 2022, arXiv 2110.08616)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxies.base import Proxy, Reference

if TYPE_CHECKING:
    from probe.network import Probe


@dataclass(frozen=True)
class GradSign(Proxy):
    """Sum over the weights w of convolutions and the classifier of |sum over images i of sign(dl_i/dw)|.

    l_i is the cross-entropy of image i seen alone, batch norms normalising over its pixels.
    """

    name = "gradsign"
    least = 2
    family = "gradient"
    needs = ("forward", "weights")
    reference = Reference(
        title="GradSign: Model Performance Inference with Theoretical Insights",
        year=2022,
        arxiv="2110.08616",
        bibtex="zhang2022gradsign",
        reported="Spearman .765 CIFAR-10, .793 CIFAR-100",
    )

    def score(self, student: Probe, teacher: Probe) -> float:
        return sum(signs.abs_().sum().item() for signs in student.sign_sums().values())


@dataclass(frozen=True)
class GradSignMean(GradSign):
    """`gradsign` over the number of weights that it sums over, those of dead operations too.

    The authors' code takes this mean, others take the sum: they rank networks of unequal sizes otherwise.
    """

    name = "gradsign_mean"
    sees = "executed"

    def score(self, student: Probe, teacher: Probe) -> float:
        return super().score(student, teacher) / sum(weight.numel() for weight in student.weights.values())
