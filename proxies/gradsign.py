"""GradSign: do the images of a batch agree on the direction of descent? (ICLR 2022, arXiv 2110.08616)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from proxies.base import Proxy, Reference

if TYPE_CHECKING:
    from proxies.probe import Probe


@dataclass(frozen=True)
class GradSign(Proxy):
    """Sum over the weights w of convolutions and the classifier of |sum over images i of sign(dl_i/dw)|.

    l_i is the cross-entropy of image i seen alone, batch norms normalising over its pixels: a forward and a backward
    pass for every image.
    """

    name: ClassVar[str] = "gradsign"
    family: ClassVar[str] = "gradient"
    needs: ClassVar[tuple[str, ...]] = ("forward", "weights")
    reference: ClassVar[Reference] = Reference(
        title="GradSign: Model Performance Inference with Theoretical Insights",
        year=2022,
        arxiv="2110.08616",
        bibtex="""@inproceedings{zhang2022gradsign,
  title     = {{GradSign}: Model Performance Inference with Theoretical Insights},
  author    = {Zhang, Zhihao and Jia, Zhihao},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year      = {2022}
}""",
        reported="Spearman .765 CIFAR-10, .793 CIFAR-100",
    )

    def score(self, student: Probe, teacher: Probe) -> float:
        import torch
        from torch.nn.functional import cross_entropy

        network = student.network
        weights = [network.get_parameter(name) for name in student.weights]
        votes = [torch.zeros_like(weight) for weight in student.weights.values()]
        for image, label in zip(student.images.split(1), student.labels.split(1), strict=True):
            with torch.enable_grad():
                loss = cross_entropy(network(image).logits, label)
                gradients = torch.autograd.grad(loss, weights, materialize_grads=True)
            for vote, gradient in zip(votes, gradients, strict=True):
                vote += torch.where(gradient.isnan(), gradient, gradient.sign())  # the sign of NaN is 0 in torch
        return sum(vote.abs().sum().item() for vote in votes)
