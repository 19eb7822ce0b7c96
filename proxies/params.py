"""Counting parameters: the baseline every proxy has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxies.base import Proxy, Reference

if TYPE_CHECKING:
    from probe.network import Probe

NAS_BENCH_201 = Reference(
    title="NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search",
    year=2020,
    arxiv="2001.00326",
    bibtex="dong2020nasbench201",
    reported="Spearman of FLOPs .799 CIFAR-10, .763 CIFAR-100 on the valid cells (VKDNW, CVPR 2025)",
)


@dataclass(frozen=True)
class Params(Proxy):
    """Number of parameters of the network, those of dead operations too.

    All of them, each once however many layers share it: `requires_grad` has no say, so a frozen network counts as the
    same network does when it is trained.
    """

    name = "params"
    family = "counts"
    needs = ()
    sees = "cell"
    reference = NAS_BENCH_201

    def score(self, student: Probe, teacher: Probe) -> float:
        return float(student.skeleton.count_parameters(student.cell))
