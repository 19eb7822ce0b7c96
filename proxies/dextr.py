"""Dextr: how independent are a network's channels, and how strongly does it bend a circle? (2025, arXiv 2508.12977)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.errors import unknown
from proxies.base import NotApplicable, Proxy, Reference

if TYPE_CHECKING:
    import torch

    from probe.calls import Call
    from probe.network import Probe

OUTPUTS = ("all", "ten")
TEN = 10


@dataclass(frozen=True)
class Dextr(Proxy):
    """a b / (a + b), a = log(1 + sum over maps of s_min / s_max), b = log(1 + k).

    s are the singular values of a map of the first image as [C, H W], in a pass of the whole batch; 0 for a map of
    zeros. Maps are those behind each convolution, norm and rectifier, each once for every layer of the benchmark's
    network: the authors' code hooks modules, containers too, and so adds the same map up to three times, and 1 for the
    logits, which are one column.

    k is the curvature of the curve of outputs f over a circle of inputs, x(t) = cos t u + sin t w, u and w orthonormal
    and random: with v = df/dt and a = d^2 f/dt^2, k = sqrt(v.v a.a - (v.a)^2) / (v.v)^(3/2) at t = 0, the one point
    that their call looks at. Batch norms normalise over the pixels of that one image. Where k is NaN, as without a path
    to the output, the score is a alone. `outputs=ten` is their code: ten outputs drawn with replacement,
    as the labels of noise are; by default all, once each.
    """

    name = "dextr"
    family = "activation"
    needs = ("forward", "weights", "noise.forward", "noise.weights")
    sees = "executed"
    reference = Reference(
        title="Dextr: Zero-Shot Neural Architecture Search with Singular Value Decomposition and Extrinsic Curvature",
        year=2025,
        arxiv="2508.12977",
        bibtex="asthana2025dextr",
    )

    outputs: str = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.outputs not in OUTPUTS:
            raise unknown("outputs of dextr", self.outputs, OUTPUTS)

    def score(self, student: Probe, teacher: Probe) -> float:
        a = math.log1p(_independence(student))
        k = _curvature(student.noise, self.outputs)
        b = math.log1p(k)
        return a if math.isnan(k) else a * b / (a + b) if a + b else 0.0


def _independence(student: Probe) -> float:
    """Sum over maps of the smallest over the largest singular value."""
    import torch

    from probe.calls import LAYERS, NORMS, RECTIFIERS

    maps: dict[torch.Size, list[tuple[int, torch.Tensor]]] = {}

    def observe(call: Call) -> Any:
        output = call.run()
        if call.kind in (*LAYERS, *NORMS, *RECTIFIERS) and output.ndim > 2:
            if call.images is None or call.channels is None:
                raise NotApplicable(f"dextr reads the channels of an image, and {call.name} leaves none to be found")
            first = output.movedim((call.images, call.channels), (0, 1))[0].flatten(1)
            first = first.to(torch.float64, copy=True)  # others write over the map
            maps.setdefault(first.shape, []).append((call.uses, first))
        return output

    with torch.no_grad():
        student.run(student.images, observe)
    total = 0.0
    for alike in maps.values():
        stacked = torch.stack([one for _, one in alike])
        if not stacked.isfinite().all():  # the singular values would not be found
            return math.nan
        values = torch.linalg.svdvals(stacked)
        shares = (values[:, -1] / values[:, 0]).nan_to_num(0)
        total += sum(uses * share for (uses, _), share in zip(alike, shares.tolist(), strict=True))
    return total


def _curvature(noise: Probe, outputs: str) -> float:
    """k, the circle spanned by the first two images of noise, in float64."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    if len(noise.images) < 2:
        raise NotApplicable("dextr spans its circle by two images of noise: it takes batches of two images or more")
    one, two = noise.images[:2].double().flatten(1)
    u = one / one.norm()
    w = two - (two @ u) * u
    parameters = {name: value.double() for name, value in noise.parameters.items()}
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
        t = torch.zeros((), dtype=torch.float64, device=u.device, requires_grad=True)
        image = (t.cos() * u + t.sin() * w / w.norm()).view(1, *noise.images.shape[1:])
        logits = noise.run(image, parameters=parameters).logits[0]
        chosen = logits[noise.labels[:TEN]] if outputs == "ten" else logits
        # all outputs at once: the derivatives of their sum with factors, differentiated in the factors
        factors = torch.ones_like(chosen, requires_grad=True)
        speed = _derivative(factors @ chosen, t)
        v = _derivative(speed, factors).detach()
        a = _derivative(_derivative(speed, t), factors).detach()
    vv, aa, va = (v @ v).item(), (a @ a).item(), (v @ a).item()
    return math.sqrt(max(vv * aa - va * va, 0)) / vv**1.5 if vv > 0 else math.nan


def _derivative(value: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
    """That can be differentiated again; zeros where no path leads."""
    import torch

    if not value.requires_grad:
        return torch.zeros_like(of)
    return torch.autograd.grad(value, of, create_graph=True, materialize_grads=True)[0]
