"""SWAP: how many different ways the units of a network respond to a few images (ICLR 2024, arXiv 2403.04161)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from proxies.base import Proxy, Reference

if TYPE_CHECKING:
    import torch

    from probe.network import Probe


def distinct(codes: torch.Tensor) -> int:
    """How many of the columns of bool [bits, N] differ."""
    import torch

    words = torch.zeros(codes.shape[1], dtype=torch.int64, device=codes.device)
    found = words[:1]
    for piece in codes.split(24):  # whole numbers that float32 holds
        powers = 2.0 ** torch.arange(len(piece), device=codes.device)
        # the number of the word so far in front of the next bits
        found, words = torch.unique((words << 24) + (powers @ piece.float()).long(), return_inverse=True)
    return len(found)


@dataclass(frozen=True)
class Swap(Proxy):
    """Number of distinct patterns among the units of all ReLUs, a unit's pattern being its signs over `images` images.

    The first images of the batch; batch norms use the whole batch's statistics, while the authors pass 16 images
    alone. They average 32 draws of weights: here seeds are averaged.
    """

    name = "swap"
    least = 2
    family = "activation"
    needs = ("relu_codes",)
    sees = "relus"
    reference = Reference(
        title="SWAP-NAS: Sample-Wise Activation Patterns for Ultra-fast NAS",
        year=2024,
        arxiv="2403.04161",
        bibtex="peng2024swapnas",
    )

    init: str = "gaussian"
    images: int = 16

    def score(self, student: Probe, teacher: Probe) -> float:
        import torch

        return float(distinct(torch.cat([code[: self.images] for code, _ in student.relu_codes], dim=1)))


@dataclass(frozen=True)
class SwapRegularised(Swap):
    """`swap` times exp(-(t - mu)^2 / sigma), t the parameters of the network over those of the largest cell's.

    The authors count parameters in thousands and publish no mu and sigma for NAS-Bench-201: theirs divided by the
    largest count in thousands (1,531 at full size) and by its square are these. The defaults are ours, chosen before
    any label was looked at: the factor grows with size and is 1 for the largest network.
    """

    name = "swap_regularised"
    sees = "executed"
    reference = replace(
        Swap.reference, reported="Spearman .90 CIFAR-100 (validation accuracy), reported by its authors"
    )

    mu: float = 1.0
    sigma: float = 1.0

    def score(self, student: Probe, teacher: Probe) -> float:
        skeleton = student.skeleton
        size = skeleton.count_parameters(student.cell) / skeleton.most_parameters()
        return super().score(student, teacher) * math.exp(-((size - self.mu) ** 2) / self.sigma)
