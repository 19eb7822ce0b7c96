"""AZ-NAS: four looks at a network's blocks, made to be ranked together (CVPR 2024, arXiv 2403.19232)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from proxies.base import NotApplicable, Proxy, Reference
from proxies.flops import Flops

if TYPE_CHECKING:
    import torch

    from probe.network import Probe

AZ_NAS = Reference(
    title="AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture Search",
    year=2024,
    arxiv="2403.19232",
    bibtex="lee2024aznas",
    reported="the four ranked together: Spearman .892 CIFAR-10, .880 CIFAR-100 on the valid cells (as rerun by VKDNW, "
    "CVPR 2025)",
)


def _rows(features: torch.Tensor) -> torch.Tensor:
    """A map [B, C, H, W] as float64 [B H W, C]: what the channels say of each position of each image."""
    return features.movedim(1, -1).flatten(0, 2).double()


def _entropy(features: torch.Tensor) -> float:
    """Of the variances along the principal directions of a map's channels, as shares of their sum, in nats."""
    import torch

    rows = _rows(features)
    rows = rows - rows.mean(0)  # not in place: of a float64 network they are the map itself
    covariance = rows.T @ rows / len(rows)
    if not covariance.isfinite().all():  # the eigensolver would raise
        return math.nan
    variances = torch.linalg.eigvalsh(covariance).clamp(min=0)
    total = variances.sum()
    return torch.special.entr(variances / total).sum().item() if total > 0 else 0.0


def _entropies(student: Probe) -> list[float]:
    """Of the maps behind the stem and each block, for both proxies that read them."""
    return student.noise.once("entropies of blocks", lambda noise: [_entropy(features) for features in noise.blocks])


@dataclass(frozen=True)
class AzExpressivity(Proxy):
    """Sum over maps of H(v / sum v), H(p) = -sum p log p, v the eigenvalues of the covariance [C, C] of the channels.

    The maps are f_0 behind the stem and f_l behind each block, cells and reductions; the covariance is over all
    positions of all images, N(0, 1) noise. In float64, 0 log 0 = 0. A map that does not vary, as behind a cell without
    a path, has nothing to share out: entropy 0, as one that varies in a single direction.
    """

    name = "az_expressivity"
    family = "activation"
    needs = ("noise.blocks",)
    reference = AZ_NAS

    init: str = "kaiming"

    def score(self, student: Probe, teacher: Probe) -> float:
        return sum(_entropies(student))


@dataclass(frozen=True)
class AzProgressivity(Proxy):
    """Smallest over blocks l of H_l - H_(l - 1), the entropies of `az_expressivity` behind and in front of a block."""

    name = "az_progressivity"
    family = "activation"
    needs = ("noise.blocks",)
    reference = AZ_NAS

    init: str = "kaiming"

    def score(self, student: Probe, teacher: Probe) -> float:
        gains = [after - before for before, after in pairwise(_entropies(student))]
        if not gains:
            raise NotApplicable("az_progressivity compares the maps before and behind a block: there is one map alone")
        return math.nan if math.isnan(sum(gains)) else min(gains)  # min passes over NaN


@dataclass(frozen=True)
class AzTrainability(Proxy):
    """Mean over blocks of -s - 1 / (s + 1e-6) + 2, which is largest, 0, where s = 1: gradients neither grow nor fade.

    s is the largest singular value of A = E[h g^T], [C_in r^2, C_out]: g random signs on a block's output, h = J^T g
    their gradient in its input, the mean over all positions of all images, N(0, 1) noise. Where a block is of stride r
    the r x r pixels of the input behind one of the output count as channels. -inf for a block that hands every gradient
    on unchanged, as the authors' code has it: it has nothing to train. 2 - 1e6 for one that hands none on.
    """

    name = "az_trainability"
    family = "gradient"
    needs = ("noise.block_gradients",)
    reference = AZ_NAS

    init: str = "kaiming"

    def score(self, student: Probe, teacher: Probe) -> float:
        gradients = student.noise.block_gradients
        if not gradients:
            raise NotApplicable("az_trainability sends signs back through blocks, and there is none behind the stem")
        return sum(_trainability(*gradient) for gradient in gradients) / len(gradients)


def _trainability(output: torch.Tensor, input: torch.Tensor) -> float:
    import torch
    from torch.nn.functional import pixel_unshuffle

    if torch.equal(output, input):
        return -math.inf
    stride = input.shape[-1] // output.shape[-1]
    if [stride * side for side in output.shape[2:]] != [*input.shape[2:]]:
        sizes = (" x ".join(map(str, map_.shape[2:])) for map_ in (input, output))
        raise NotApplicable("az_trainability needs blocks of whole strides: {} pixels become {}".format(*sizes))
    signs = _rows(output)
    jacobian = _rows(pixel_unshuffle(input, stride)).T @ signs / len(signs)
    if not jacobian.isfinite().all():  # the singular values would not be found
        return math.nan
    s = torch.linalg.svdvals(jacobian)[0].item()
    return -s - 1 / (s + 1e-6) + 2


@dataclass(frozen=True)
class AzComplexity(Flops):
    """Multiply-adds of all convolutions and the classifier for one image, as `flops`."""

    name = "az_complexity"
    reference = AZ_NAS
