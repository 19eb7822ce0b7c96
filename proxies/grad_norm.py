"""Gradient norm by layer, the simplest of the zero-cost proxies (ICLR 2021, arXiv 2101.08134)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from proxies.base import Proxy, Reference

if TYPE_CHECKING:
    from proxies.probe import Probe


@dataclass(frozen=True)
class GradNorm(Proxy):
    """Sum over convolutions and the classifier of |dL/dW|, the L2 norm of the weight's gradient, L as in `snip`."""

    name: ClassVar[str] = "grad_norm"
    family: ClassVar[str] = "gradient"
    needs: ClassVar[tuple[str, ...]] = ("forward", "gradients")
    reference: ClassVar[Reference] = Reference(
        title="Zero-Cost Proxies for Lightweight NAS",
        year=2021,
        arxiv="2101.08134",
        bibtex="""@inproceedings{abdelfattah2021zerocost,
  title     = {Zero-Cost Proxies for Lightweight {NAS}},
  author    = {Abdelfattah, Mohamed S. and Mehrotra, Abhinav and Dudziak, {\\L}ukasz and Lane, Nicholas D.},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year      = {2021}
}""",
        reported="|Spearman| .594 CIFAR-10, .637 CIFAR-100 on all cells",
    )

    def score(self, student: Probe, teacher: Probe) -> float:
        return sum(student.gradients[name].norm().item() for name in student.weights)
