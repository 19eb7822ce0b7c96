"""ZiCo: how steady the loss's gradients are from batch to batch (ICLR 2023, arXiv 2301.11300)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxies.base import Proxy, Reference

if TYPE_CHECKING:
    from probe.network import Probe


@dataclass(frozen=True)
class ZiCo(Proxy):
    """Sum over convolutions and the classifier of log (sum over the weight's entries i of mean_b |g_i| / std_b g_i).

    g = dL/dW of two batches b of the benchmark's images; std is the population's, |g - g'| / 2. Entries whose gradient
    does not differ are left out, and layers in which none does. The paper writes std of |g|; this is its code.
    One entry whose two gradients nearly agree can carry a layer's sum, so that float32's rounding shows: two orders
    of addition have moved a score by .6 %.
    """

    name = "zico"
    family = "gradient"
    needs = ("gradients", "second.gradients")
    reference = Reference(
        title="ZiCo: Zero-shot NAS via Inverse Coefficient of Variation on Gradients",
        year=2023,
        arxiv="2301.11300",
        bibtex="li2023zico",
        reported="Spearman .802 CIFAR-10, .809 CIFAR-100 on the valid cells (as rerun by VKDNW, CVPR 2025)",
    )

    def score(self, student: Probe, teacher: Probe) -> float:
        import torch

        second = student.second.gradients
        total = 0.0
        for name in student.weights:
            one, two = student.gradients[name], second[name]
            change = (one - two).abs()
            moved = change != 0  # of NaN too
            if moved.any():
                ratios = (one.abs() + two.abs())[moved] / change[moved]
                total += math.log(ratios.sum(dtype=torch.float64).item())
        return total
