"""VKDNW: is a network equally sure of all its weights? (CVPR 2025, arXiv 2502.04975)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import BadUsage, unknown
from proxies.base import Proxy, Reference

if TYPE_CHECKING:
    import torch

    from probe.network import Probe

VARIANTS = ("paper", "released")

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

    That is the formula of the paper. In `released`, the authors' code, p is mixed with 5 % of a uniform distribution,
    p' = .95 p + .05 / K, and F = mean_n J_n^T L_n^T L_n J_n, L the lower Cholesky factor of diag p' - p' p'^T, where
    L L^T would be that matrix.
    """

    name = "vkdnw_entropy"
    family = "gradient"
    needs = ("noise.forward", "noise.weights")
    sees = "parameters"
    later = ("variant",)
    reference = VKDNW

    init: str = "kaiming"
    tensors: int = 128
    variant: str = "paper"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tensors < 1:
            raise BadUsage(f"{self.name}: at least one parameter tensor has to be looked at, not {self.tensors}")
        if self.variant not in VARIANTS:
            raise unknown(f"variant of {self.name}", self.variant, VARIANTS)

    def score(self, student: Probe, teacher: Probe) -> float:
        # `vkdnw` reads it too: the backward passes are run once
        key = "vkdnw", self.tensors, self.variant
        return student.noise.once(key, lambda noise: _entropy(noise, self.tensors, self.variant))


@dataclass(frozen=True)
class Vkdnw(VkdnwEntropy):
    """The number of parameter tensors, those of dead operations too, plus the V of `vkdnw_entropy`.

    That is the authors' `single`, as their code's history has it: the number first and V among equals. V is below
    log 9 = 2.2, and a convolution more adds three tensors to every cell of the network.
    """

    name = "vkdnw"

    def score(self, student: Probe, teacher: Probe) -> float:
        return len(list(student.noise.network.parameters())) + super().score(student, teacher)


def _entropy(probe: Probe, tensors: int, variant: str) -> float:
    import torch

    logits, jacobian = probe.once(("vkdnw", tensors), lambda each: each.logit_jacobian(tensors))
    probabilities, jacobian = logits.double().softmax(1), jacobian.double()
    rows = (_released_rows if variant == "released" else _rows)(probabilities, jacobian).flatten(0, 1)
    information = rows.T @ rows / len(jacobian)
    if not information.isfinite().all():  # the eigensolver would raise
        return math.nan
    eigenvalues = torch.linalg.eigvalsh(information).clamp(min=0)
    deciles = eigenvalues.quantile(torch.arange(1, 10, dtype=torch.float64, device=eigenvalues.device) / 10)
    total = deciles.sum()
    return torch.special.entr(deciles / total).sum().item() if total > 0 else 0.0


def _rows(probabilities: torch.Tensor, jacobian: torch.Tensor) -> torch.Tensor:
    """[B, K, P], of which J^T (diag p - p p^T) J is the inner products, from p [B, K] and J [B, K, P]."""
    probabilities = probabilities[..., None]
    centred = jacobian - (probabilities * jacobian).sum(1, keepdim=True)
    return probabilities.sqrt() * centred


def _released_rows(probabilities: torch.Tensor, jacobian: torch.Tensor) -> torch.Tensor:
    """L J [B, K, P], L in closed form, as the matrix is singular: with q_j = 1 - p_1 - .. - p_j and q_0 = 1, column
    j of L is sqrt(p_j / (q_(j-1) q_j)) times q_j on the diagonal and -p_i below.
    """
    import torch

    p = 0.95 * probabilities + 0.05 / probabilities.shape[1]
    after = p.flip(1).cumsum(1).flip(1)  # p_j + .. + p_K: q_(j-1)
    q = torch.cat([after[:, 1:], torch.zeros_like(after[:, :1])], 1)
    scale = torch.where(q > 0, p / (after * q), 0).sqrt()
    factor = torch.diag_embed(q) - p[:, :, None].expand(-1, -1, p.shape[1]).tril(-1)
    return (factor * scale[:, None, :]) @ jacobian
