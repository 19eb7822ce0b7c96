"""Gradient norms, the simplest of the zero-cost proxies (ICLR 2021, arXiv 2101.08134; ICCV 2021, arXiv 2102.01063)."""

from __future__ import annotations

import math
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


@dataclass(frozen=True)
class GradNormAll(Proxy):
    """sqrt(sum over all parameters of (dL/dw)^2), L the mean cross-entropy of N(0, 1) images with random labels.

    Zen-NAS's form: batch norms and biases count too. A convolution that reads zeros gives the gradient of its batch
    norm's bias, if what it puts out gets anywhere.
    """

    name: ClassVar[str] = "grad_norm_all"
    family: ClassVar[str] = "gradient"
    needs: ClassVar[tuple[str, ...]] = ("noise.gradients",)
    sees: ClassVar[str] = "parameters"
    reference: ClassVar[Reference] = Reference(
        title="Zen-NAS: A Zero-Shot NAS for High-Performance Image Recognition",
        year=2021,
        arxiv="2102.01063",
        bibtex="""@inproceedings{lin2021zennas,
  title     = {{Zen-NAS}: A Zero-Shot {NAS} for High-Performance Image Recognition},
  author    = {Lin, Ming and Wang, Pichao and Sun, Zhenhong and Chen, Hesen and Sun, Xiuyu and Qian, Qi and Li, Hao and
               Jin, Rong},
  booktitle = {IEEE/CVF International Conference on Computer Vision (ICCV)},
  year      = {2021}
}""",
        reported="Spearman .438 CIFAR-10, .451 CIFAR-100 on the valid cells (as rerun by VKDNW, CVPR 2025)",
    )

    init: str = "gaussian"

    def score(self, student: Probe, teacher: Probe) -> float:
        return math.sqrt(sum(gradient.double().square().sum().item() for gradient in student.noise.gradients.values()))
