"""WRCor: how unlike are the images of a batch in what ReLUs read, and in its gradients? (2025, arXiv 2507.08841)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from common.errors import unknown
from proxies.base import NotApplicable, Proxy, Reference

if TYPE_CHECKING:
    import torch

    from probe.calls import Call
    from probe.network import Probe

VARIANTS = ("paper", "released")
SIDES = ("both", "activations", "gradients")


@dataclass(frozen=True)
class WRCor(Proxy):
    """log |det K|, K = sum over ReLUs of 2^i (|corr A| + |corr G|), i the number of the block the ReLU stands in.

    A [B, D] is what the ReLU reads, G the derivative of the mean cross-entropy in it through this ReLU alone, corr
    their correlations between images, [B, B]. Blocks are cells and reductions, counted from 0; the last ReLU, behind
    them, has the number of blocks. Where one ReLU stands in front of several convolutions of a cell it counts once for
    each, as they have one each in the benchmark's network. A matrix with a NaN, as of an image that all of a ReLU's
    units answer alike, is left out, as the authors' code does; -inf where nothing is left.

    `weighted=false`, `of=activations` and `of=gradients` are the sums that the code has beside it: all weights 1, one
    side alone. `released` is what their hooks meet. They are hung on all modules whose class is called like a ReLU, and
    so on `ReLUConvBN` too: every A counts twice but the last, and the derivative in the convolution's output is one
    more G. The last ReLU works in place and is looked at afterwards, so that its A is what it put out. Their code takes
    a batch in parts on request, and multiplies the scores of the parts; here it is never split.
    """

    name = "wrcor"
    least = 2
    family = "gradient"
    needs = ("forward", "weights")
    sees = "relus"
    reference = Reference(
        title="Zero-Shot Neural Architecture Search with Weighted Response Correlation",
        year=2025,
        arxiv="2507.08841",
        bibtex="jing2025wrcor",
    )

    variant: str = "paper"
    of: str = "both"
    weighted: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for field, words in (("variant", VARIANTS), ("of", SIDES)):
            if getattr(self, field) not in words:
                raise unknown(f"{field} of wrcor", getattr(self, field), words)

    def score(self, student: Probe, teacher: Probe) -> float:
        import torch
        from torch.nn.functional import cross_entropy

        relus = _Relus(self.weighted, self.of != "activations", self.variant == "released")
        with torch.set_grad_enabled(relus.differentiated):
            images = student.images.detach().requires_grad_(relus.differentiated)  # all depends on them
            logits = student.run(images, relus).logits
            found = relus.gradients(cross_entropy(logits, student.labels)) if relus.differentiated else []
        if not relus.read:
            raise NotApplicable("wrcor reads rectifiers, and this network has none")
        if self.variant == "released":
            *others, last = relus.read
            relus.read = [*others, *others, _Term(last.weight, *_products(relus.last))]
        if self.of != "gradients":
            found += relus.read
        return torch.linalg.slogdet(_sum_of_correlations(found)).logabsdet.item() if found else -math.inf


class _Term(NamedTuple):
    """One rectifier's part in the sum: its weight, and `_products` of what it reads or of its gradient."""

    weight: float
    products: torch.Tensor
    due_to_means: torch.Tensor


class _Tap(NamedTuple):
    """Where a derivative is taken: behind a rectifier, with its weight in the sum and its own derivative."""

    weight: float
    back: Callable[[torch.Tensor], torch.Tensor]
    place: torch.Tensor
    images: int
    shared: bool
    """Whether the rectifier stands for several, one in front of each of what reads it."""


class _Relus:
    """Meets the calls of a network: what its rectifiers read, `read`, and where the loss is differentiated."""

    def __init__(self, weighted: bool, differentiated: bool, released: bool) -> None:
        self.weighted = weighted
        self.differentiated = differentiated
        self.released = released
        self.read: list[_Term] = []
        self.last: torch.Tensor
        """What the last rectifier put out."""
        self._taps: list[_Tap] = []
        self._behind: dict[int, _Tap] = {}
        """By the identity of what a rectifier put out."""

    def __call__(self, call: Call) -> Any:
        from probe.calls import RECTIFIERS, Kind

        if call.kind in RECTIFIERS:
            return self._rectified(call)
        if call.kind is not Kind.CONVOLUTION or id(call.input) not in self._behind:
            return call.run()
        tap, args = self._behind[id(call.input)], call.args
        if tap.shared:
            alone = tap.place.view_as(tap.place)  # the derivative in it is the one through this convolution
            self._taps.append(tap._replace(place=alone))
            args = (alone, *args[1:])
        output = call.function(*args, **call.kwargs)
        if self.released:
            self._taps.append(tap._replace(place=output, back=_same))
        return output

    def _rectified(self, call: Call) -> Any:
        if call.images is None:
            raise NotApplicable(f"wrcor compares images, and they are folded in what {call.said} reads")
        weight = self._weight(call)
        read = call.input.detach().movedim(call.images, 0)
        self.read.append(_Term(call.uses * weight, *_products(read)))
        back = _slope(call).mul if self.differentiated and call.name != "relu" else None
        output = call.run()
        self.last = output.detach().movedim(call.images, 0)
        if self.differentiated:
            back = back or partial(_through_relu, output.detach())
            tap = self._behind[id(output)] = _Tap(weight, back, output, call.images, call.uses > 1)
            if not tap.shared:
                self._taps.append(tap)
        return output

    def _weight(self, call: Call) -> float:
        if not self.weighted:
            return 1.0
        if call.block is None:
            raise NotApplicable("wrcor weighs rectifiers by blocks, and none were found in this network: name blocks")
        return 2.0**call.block

    def gradients(self, loss: torch.Tensor) -> list[_Term]:
        """Of the loss's derivatives in what rectifiers read, where it depends on it."""
        import torch

        taps = [tap for tap in self._taps if tap.place.requires_grad]
        if not taps or not loss.requires_grad:
            return []
        found = torch.autograd.grad(loss, [tap.place for tap in taps], allow_unused=True)
        return [
            _Term(tap.weight, *_products(tap.back(gradient).movedim(tap.images, 0)))
            for tap, gradient in zip(taps, found, strict=True)
            if gradient is not None
        ]


def _same(gradient: torch.Tensor) -> torch.Tensor:
    return gradient


def _through_relu(output: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """The derivative in front of a ReLU from that behind it."""
    import torch

    return torch.ops.aten.threshold_backward(gradient, output, 0)  # in one go over memory


def _slope(call: Call) -> torch.Tensor:
    """The derivative of a rectifier at each of its inputs."""
    import torch

    leaf = call.input.detach().requires_grad_()
    copied = leaf.clone()  # for those that write over it
    args, kwargs = ((copied, *call.args[1:]), call.kwargs) if call.args else ((), {**call.kwargs, "input": copied})
    (slope,) = torch.autograd.grad(call.function(*args, **kwargs).sum(), leaf)
    return slope


def _products(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The inner products of the rows of [B, ...], [B, B], and what of them is due to the rows' means."""
    if not rows.is_contiguous():  # with the channels in front, flattening would copy: in the order of memory
        rows = rows.movedim(1, -1)
    rows = rows.flatten(1)
    sums = rows.sum(1)
    return rows @ rows.T, sums[:, None] * sums / rows.shape[1]


def _sum_of_correlations(found: Sequence[_Term]) -> torch.Tensor:
    """K [B, B], in float64; without what has a row that does not vary, to rounding."""
    import torch

    products = torch.stack([term.products for term in found])
    raw, rounding = products.diagonal(dim1=1, dim2=2), 16 * torch.finfo(products.dtype).eps
    covariances = products - torch.stack([term.due_to_means for term in found])
    variances = covariances.diagonal(dim1=1, dim2=2)
    whole = (variances > rounding * raw).all(1)
    scale = variances[whole].rsqrt()
    weights = products.new_tensor([term.weight for term in found])[whole, None]
    return torch.einsum("ni,nij,nj->ij", weights * scale, covariances[whole].abs_(), scale).double()
