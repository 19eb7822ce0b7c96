"""Gradient norms, the simplest of the zero-cost proxies (ICLR 2021, arXiv 2101.08134; ICCV 2021, arXiv 2102.01063)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxies.base import Proxy, Reference

if TYPE_CHECKING:
    from probe.network import Probe


@dataclass(frozen=True)
class GradNorm(Proxy):
    """Sum over convolutions and the classifier of |dL/dW|, the L2 norm of the weight's gradient, L as in `snip`."""

    name = "grad_norm"
    family = "gradient"
    needs = ("forward", "gradients")
    reference = Reference(
        title="Zero-Cost Proxies for Lightweight NAS",
        year=2021,
        arxiv="2101.08134",
        bibtex="abdelfattah2021zerocost",
        reported="|Spearman| .594 CIFAR-10, .637 CIFAR-100 on all cells",
    )

    def score(self, student: Probe, teacher: Probe) -> float:
        return sum(student.gradients[name].norm().item() for name in student.weights)


@dataclass(frozen=True)
class GradNormAll(Proxy):
    """sqrt(sum over all parameters of (dL/dw)^2), L the mean cross-entropy of N(0, 1) images with random labels.

    Zen-NAS's form: batch norms and biases count too. A convolution that reads zeros gives the gradient of its batch
    norm's bias, if what it puts out gets anywhere.
    """

    name = "grad_norm_all"
    family = "gradient"
    needs = ("noise.gradients",)
    sees = "parameters"
    reference = Reference(
        title="Zen-NAS: A Zero-Shot NAS for High-Performance Image Recognition",
        year=2021,
        arxiv="2102.01063",
        bibtex="lin2021zennas",
        reported="Spearman .438 CIFAR-10, .451 CIFAR-100 on the valid cells (as rerun by VKDNW, CVPR 2025)",
    )

    init: str = "gaussian"

    def score(self, student: Probe, teacher: Probe) -> float:
        return math.sqrt(sum(gradient.double().square().sum().item() for gradient in student.noise.gradients.values()))
