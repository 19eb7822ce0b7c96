"""Counting layers: a baseline of VKDNW (CVPR 2025, arXiv 2502.04975), after which it breaks its ties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from proxies.base import Proxy, Reference

if TYPE_CHECKING:
    from proxies.probe import Probe


@dataclass(frozen=True)
class Layers(Proxy):
    """Number of convolutions and linear layers of the network, those of dead operations too.

    As every convolution of a cell comes with one batch norm, it ranks as the number of parameter tensors does, which
    the VKDNW code counts. Seven values in all: 0 to 6 convolutions in the cell.
    """

    name: ClassVar[str] = "layers"
    family: ClassVar[str] = "counts"
    needs: ClassVar[tuple[str, ...]] = ()
    sees: ClassVar[str] = "cell"
    reference: ClassVar[Reference] = Reference(
        title="Training-free Neural Architecture Search through Variance of Knowledge of Deep Network Weights",
        year=2025,
        arxiv="2502.04975",
        bibtex="""@inproceedings{tybl2025vkdnw,
  title     = {Training-free Neural Architecture Search through Variance of Knowledge of Deep Network Weights},
  author    = {T{\\'y}bl, Ond{\\v{r}}ej and Neumann, Luk{\\'a}{\\v{s}}},
  booktitle = {Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year      = {2025}
}""",
        reported="Spearman .767 CIFAR-10, .787 CIFAR-100 on the valid cells",
    )

    def score(self, student: Probe, teacher: Probe) -> float:
        return float(student.skeleton.count_layers(student.cell))
