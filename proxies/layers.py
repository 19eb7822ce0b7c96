"""Counting layers: a baseline of VKDNW (CVPR 2025, arXiv 2502.04975), after which it breaks its ties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxies.base import Proxy, Reference

if TYPE_CHECKING:
    from probe.network import Probe


@dataclass(frozen=True)
class Layers(Proxy):
    """Number of convolutions and linear layers of the network, those of dead operations too.

    As every convolution of a cell comes with one batch norm, it ranks as the number of parameter tensors does, which
    the VKDNW code counts. Seven values in all: 0 to 6 convolutions in the cell.
    """

    name = "layers"
    family = "counts"
    needs = ()
    sees = "cell"
    reference = Reference(
        title="Training-free Neural Architecture Search through Variance of Knowledge of Deep Network Weights",
        year=2025,
        arxiv="2502.04975",
        bibtex="tybl2025vkdnw",
        reported="Spearman .767 CIFAR-10, .787 CIFAR-100 on the valid cells",
    )

    def score(self, student: Probe, teacher: Probe) -> float:
        return float(student.skeleton.count_layers(student.cell))
