"""VKDNW: is a network equally sure of all its weights? (CVPR 2025, arXiv 2502.04975)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import BadUsage
from proxies.base import Proxy, Reference

if TYPE_CHECKING:
    from probe.network import Probe

VKDNW = Reference(
    title="Training-free Neural Architecture Search through Variance of Knowledge of Deep Network Weights",
    year=2025,
    arxiv="2502.04975",
    bibtex="tybl2025trainingfree",
    reported="with the number of tensors: Spearman .815 CIFAR-10, .829 CIFAR-100 on the valid cells (VKDNW single)",
)


@dataclass(frozen=True)
class VkdnwEntropy(Proxy):
    """V = -sum_k q_k log q_k, q_k = v_k / sum v, v_1 .. v_9 the deciles of the eigenvalues of the Fisher information.

    F = mean_n J_n^T (diag p_n - p_n p_n^T) J_n, [P, P]: p_n the softmax output for image n, J_n [K, P] the derivatives
    of its logits in P single weights, the first of each of the first `tensors` parameter tensors in the network's
    order, those of dead operations too. Where they end within a cell, as the default does at full size, the order of
    its edges counts: equal cells are scored in the order of the first of them. N(0, 1) noise for images; batch norms as
    in evaluation, with the statistics they start from, mean 0 and variance 1. Deciles between two eigenvalues are
    interpolated linearly. In nats, below log 9; 0 where all deciles are 0, as without a path from the input.

    This is the paper's formula. The authors' public notebook ranks by another statistic of the eigenvalues and adds
    the logarithm of the rank by FLOPs: the number published for `single` cannot be pinned to one formula.
    """

    name = "vkdnw_entropy"
    family = "gradient"
    needs = ("noise.forward", "noise.weights")
    sees = "parameters"
    reference = VKDNW

    init: str = "kaiming"
    tensors: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tensors < 1:
            raise BadUsage(f"{self.name}: at least one parameter tensor has to be looked at, not {self.tensors}")

    def score(self, student: Probe, teacher: Probe) -> float:
        # `vkdnw` reads it too: the backward passes are run once
        return student.noise.once(("vkdnw", self.tensors), lambda noise: _entropy(noise, self.tensors))


@dataclass(frozen=True)
class Vkdnw(VkdnwEntropy):
    """The number of parameter tensors, those of dead operations too, plus the V of `vkdnw_entropy`.

    That is the paper's `single`, the number first and V among equals: V is below log 9 = 2.2, and a convolution more
    adds three tensors to every cell of the network.
    """

    name = "vkdnw"

    def score(self, student: Probe, teacher: Probe) -> float:
        return len(list(student.noise.network.parameters())) + super().score(student, teacher)


def _entropy(probe: Probe, tensors: int) -> float:
    import torch

    logits, jacobian = probe.logit_jacobian(tensors)
    probabilities = logits.double().softmax(1)[..., None]
    jacobian = jacobian.double()
    centred = jacobian - (probabilities * jacobian).sum(1, keepdim=True)
    rows = (probabilities.sqrt() * centred).flatten(0, 1)
    information = rows.T @ rows / len(jacobian)
    if not information.isfinite().all():  # the eigensolver would raise
        return math.nan
    eigenvalues = torch.linalg.eigvalsh(information).clamp(min=0)
    deciles = eigenvalues.quantile(torch.arange(1, 10, dtype=torch.float64, device=eigenvalues.device) / 10)
    total = deciles.sum()
    return torch.special.entr(deciles / total).sum().item() if total > 0 else 0.0
