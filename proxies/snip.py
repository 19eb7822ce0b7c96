"""SNIP: how much the loss would feel the loss of each weight (ICLR 2019, arXiv 1810.02340)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxies.base import Proxy, Reference

if TYPE_CHECKING:
    from probe.network import Probe


@dataclass(frozen=True)
class Snip(Proxy):
    """Sum over the weights w of convolutions and the classifier of |w dL/dw|, L the mean cross-entropy of the batch."""

    name = "snip"
    family = "gradient"
    needs = ("forward", "gradients")
    reference = Reference(
        title="SNIP: Single-shot Network Pruning based on Connection Sensitivity",
        year=2019,
        arxiv="1810.02340",
        bibtex="lee2019snip",
        reported="Spearman .591 CIFAR-10, .597 CIFAR-100 on the valid cells (as rerun by VKDNW, CVPR 2025)",
    )

    def score(self, student: Probe, teacher: Probe) -> float:
        gradients = student.gradients
        return sum((weight * gradients[name]).abs().sum().item() for name, weight in student.weights.items())
