"""CKA: do student and teacher find the same images alike? (arXiv 1905.00414, with unbiased estimates, 2010.15327)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxies.base import NotApplicable, Proxy, Reference

if TYPE_CHECKING:
    import torch

    from probe.network import Probe

LEAST = 4
"""Images of the smallest batch that the unbiased estimate is defined for."""


def unbiased_hsic(K: torch.Tensor, L: torch.Tensor) -> torch.Tensor:
    """Of kernels [N, N], N > 3, with their diagonals taken as zero (Song et al., JMLR 2012, equation 5).

    (tr KL + 1'K1 1'L1 / ((N - 1)(N - 2)) - 2 / (N - 2) 1'KL1) / (N (N - 3))
    """
    n = len(K)
    K, L = K - K.diag().diag(), L - L.diag().diag()
    of_k, of_l = K.sum(0), L.sum(0)
    crossed = of_k.sum() * of_l.sum() / ((n - 1) * (n - 2))
    return ((K * L).sum() + crossed - 2 / (n - 2) * of_k @ of_l) / (n * (n - 3))


@dataclass(frozen=True)
class CKA(Proxy):
    """HSIC(K_t, K_s) / sqrt(HSIC(K_t, K_t) HSIC(K_s, K_s)), K = A A^T of the pooled features A [B, C], `unbiased_hsic`.

    The unbiased estimate is what can be averaged over minibatches; here there is one, the batch. Widths may differ. In
    float64; NaN where the features of one network do not tell images apart. Between 0 and 1 in expectation; that of
    unrelated features is as often below 0 as above.
    """

    name = "cka"
    family = "distillation"
    needs = ("forward", "teacher")
    reference = Reference(
        title="Do Wide and Deep Networks Learn the Same Things? Uncovering How Neural Network Representations Vary "
        "with Width and Depth",
        year=2021,
        arxiv="2010.15327",
        bibtex="nguyen2021wide",
    )

    def score(self, student: Probe, teacher: Probe) -> float:
        if len(student.pooled) < LEAST:
            raise NotApplicable(f"cka's unbiased estimate takes {LEAST} images or more, not {len(student.pooled)}")
        kernels = [features @ features.T for features in (teacher.pooled.double(), student.pooled.double())]
        K, L = kernels
        return (unbiased_hsic(K, L) / (unbiased_hsic(K, K) * unbiased_hsic(L, L)).sqrt()).item()
