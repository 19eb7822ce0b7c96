"""The two halves of TE-NAS: is the network easy to train, and how finely does it cut its inputs? (arXiv 2102.11535)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxies.base import NotApplicable, Proxy, Reference
from proxies.swap import distinct

if TYPE_CHECKING:
    import torch

    from probe.network import Probe

_TE_NAS = Reference(
    title="Neural Architecture Search on ImageNet in Four GPU Hours: A Theoretically Inspired Perspective",
    year=2021,
    arxiv="2102.11535",
    bibtex="chen2021tenas",
    reported="Spearman .722 CIFAR-10, .723 CIFAR-100 of the sum of both ranks on the valid cells "
    "(as rerun by VKDNW, CVPR 2025)",
)
_HELD = 2**28
"""So many derivatives are held at a time: 2 GB."""


@dataclass(frozen=True)
class NTK(Proxy):
    """-k, k = largest / smallest eigenvalue of G G^T [B, B]: the condition number of the neural tangent kernel.

    Row n of G is the gradient of the sum of image n's logits in all weights, those of batch norms too, no biases. Batch
    norms normalise over the batch, so every image has a part in every row. As in TE-NAS the network has 3 channels and
    one cell a stage; the B = `images` first images of the batch are its code's 16, its script's 72. It draws Kaiming
    fan-out, here fan-in. In float64; -inf where the kernel is singular to rounding, as without a path to the output.
    """

    name = "ntk"
    least = 2
    family = "gradient"
    needs = ("small.forward", "small.weights")
    reference = _TE_NAS

    init: str = "kaiming"
    images: int = 16

    def score(self, student: Probe, teacher: Probe) -> float:
        import torch

        small = student.small
        images = small.images[: self.images].double()
        parameters = {name: value.double() for name, value in small.parameters.items()}
        weights = [value.requires_grad_() for name, value in parameters.items() if not name.endswith("bias")]
        with torch.enable_grad():
            logits = small.run(images, parameters=parameters).logits
            totals = logits.sum(1).unbind()
            kernel = torch.zeros(len(images), len(images), dtype=torch.float64, device=images.device)
            for group in _groups(weights, _HELD // len(images)):
                rows = [torch.autograd.grad(each, group, retain_graph=True, materialize_grads=True) for each in totals]
                # layer by layer: what dead layers add is exactly zero, wherever they stand
                for gradients in zip(*rows, strict=True):
                    layer = torch.stack(gradients).flatten(1)
                    kernel += layer @ layer.T
        if kernel.isnan().any():  # the eigensolver would raise
            return math.nan
        values = torch.linalg.eigvalsh(kernel)
        smallest, largest = values[0].item(), values[-1].item()
        rounding = len(images) * torch.finfo(torch.float64).eps * largest
        return -largest / smallest if smallest > rounding else -math.inf


def _groups(weights: Sequence[torch.Tensor], size: int) -> Iterator[list[torch.Tensor]]:
    """Weights one after the other, of at most so many numbers together, or one that has more."""
    group: list[torch.Tensor] = []
    for weight in weights:
        if group and sum(one.numel() for one in group) + weight.numel() > size:
            yield group
            group = []
        group.append(weight)
    yield group


@dataclass(frozen=True)
class LinearRegions(Proxy):
    """Number of distinct binary codes of the ReLUs among 3,000 N(0, 1) images [3, 3, 3], in a network of one channel.

    Counted are the ReLUs that read maps of 3 x 3 pixels: those of the first cell and the first of the reduction behind
    it. TE-NAS counts one cell without stem and a batch norm and ReLU behind it, on random 3 x 3 crops of one channel
    of 3 x 1,000 real images, normalised by thousands; here by all.
    """

    name = "linear_regions"
    family = "activation"
    needs = ("thin.forward", "thin.relu_codes")
    sees = "relus"
    reference = _TE_NAS

    init: str = "kaiming"

    def score(self, student: Probe, teacher: Probe) -> float:
        import torch

        units = student.thin.features[0][0].numel()  # of a map of the first stage, which has the image's size
        codes = [code for code, _ in student.thin.relu_codes if code.shape[1] == units]
        if not codes:
            raise NotApplicable("linear_regions counts those of ReLUs on the first stage, and there is none")
        return float(distinct(torch.cat(codes, dim=1).T))
