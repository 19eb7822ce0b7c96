"""Jacov: how differently a network's output feels the pixels of different images (arXiv 2006.04647, version 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from proxies.base import Proxy
from proxies.nwot import NWOT

if TYPE_CHECKING:
    from probe.network import Probe


@dataclass(frozen=True)
class Jacov(Proxy):
    """-Sum over eigenvalues v of R of log(v + k) + 1 / (v + k), R the correlations [B, B] of the rows of J, k = 1e-5.

    J [B, C H W] is the gradient of the sum of all logits in the images. Correlations and eigenvalues are in float64.
    NaN where a row of J is constant, as in a network whose output does not depend on its input. The value depends on
    the batch size, and is noisy: zcp-test publishes a Spearman of .51 between seeds.
    """

    name = "jacov"
    least = 2
    family = "gradient"
    needs = ("forward", "input_gradients")
    reference = replace(
        NWOT.reference,
        reported="Spearman .800 CIFAR-10, .820 CIFAR-100 on the valid cells (as rerun by VKDNW, CVPR 2025)",
    )

    def score(self, student: Probe, teacher: Probe) -> float:
        import torch

        correlations = torch.atleast_2d(torch.corrcoef(student.input_gradients.double()))
        if correlations.isnan().any():  # the eigensolver would raise
            return math.nan
        shifted = torch.linalg.eigvalsh(correlations) + 1e-5
        return -(shifted.log() + 1 / shifted).sum().item()
