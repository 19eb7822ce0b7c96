"""Fisher: how much the loss would feel the loss of each channel (ICLR 2020, arXiv 1906.04113)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxies.base import Proxy, Reference

if TYPE_CHECKING:
    from probe.network import Probe


@dataclass(frozen=True)
class Fisher(Proxy):
    """Sum over channels c of convolutions and the classifier of n_c / 2 mean_b (sum_hw a dL/da)^2.

    a is the layer's output, before the batch norm, and L the loss as in `snip`. `weighted` counts a channel as often as
    it has weights, n_c = C_in k^2: the published numbers come from that. Otherwise n_c = 1. A network whose output does
    not depend on its input keeps the share of the classifier's bias.
    """

    name = "fisher"
    family = "gradient"
    needs = ("forward", "gate_gradients")
    reference = Reference(
        title="BlockSwap: Fisher-guided Block Substitution for Network Compression on a Budget",
        year=2020,
        arxiv="1906.04113",
        bibtex="turner2020blockswap",
        reported="|Spearman| .360 CIFAR-10, .385 CIFAR-100 on all cells (Zero-Cost Proxies, ICLR 2021)",
    )

    weighted: bool = True

    def score(self, student: Probe, teacher: Probe) -> float:
        weights = student.weights
        return sum(
            (weights[name].numel() // gradient.shape[1] if self.weighted else 1)
            * gradient.square().mean(0).sum().item()
            / 2
            for name, gradient in student.gate_gradients.items()
        )
