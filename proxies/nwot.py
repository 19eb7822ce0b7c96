"""NWOT: how differently a network's ReLUs respond to the images of a batch (ICML 2021, arXiv 2006.04647)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxies.base import Proxy, Reference

if TYPE_CHECKING:
    from probe.network import Probe


@dataclass(frozen=True)
class NWOT(Proxy):
    """log |det K|, K = sum over ReLUs of c c^T + (1 - c)(1 - c)^T, c the binary codes [B, D] of their inputs.

    K counts agreements, so it is a matrix of integers, [B, B]. Every ReLU that is executed counts, those in front of
    dead convolutions too. K is singular, and the score -inf, where no code tells two images apart, as of an image that
    is in the batch twice: they agree on as many units as an image does with itself, which is decided by whole numbers,
    since a determinant's rounding is not zero.

    The original counts each ReLU of a cell twice: its hooks are hung on all modules whose class is called like a ReLU,
    `ReLUConvBN` too. Here, as in the paper, every ReLU counts once.
    """

    name = "nwot"
    least = 2
    family = "activation"
    needs = ("relu_kernel",)
    sees = "relus"
    reference = Reference(
        title="Neural Architecture Search without Training",
        year=2021,
        arxiv="2006.04647",
        bibtex="mellor2021neural",
        reported="Spearman .762 CIFAR-10, .799 CIFAR-100 on the valid cells (as rerun by VKDNW, CVPR 2025)",
    )

    def score(self, student: Probe, teacher: Probe) -> float:
        import torch

        kernel = student.relu_kernel
        alike = kernel == kernel.diagonal()
        if alike.sum() > len(kernel):
            return -math.inf
        return torch.linalg.slogdet(kernel).logabsdet.item()
