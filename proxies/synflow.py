"""SynFlow: how much signal flows through the weights' magnitudes, without data (NeurIPS 2020, arXiv 2006.05467)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from proxies.base import NotApplicable, Proxy, Reference

if TYPE_CHECKING:
    from probe.calls import Call
    from probe.network import Probe


@dataclass(frozen=True)
class Synflow(Proxy):
    """Sum over weights w of |w dR/dw|, R the sum of the logits for an input of ones, every parameter replaced by its
    magnitude, batch norms (and other norms) left out. In float64: values reach 1e60.
    """

    name = "synflow"
    family = "weights"
    needs = ("weights",)
    reference = Reference(
        title="Pruning neural networks without any data by iteratively conserving synaptic flow",
        year=2020,
        arxiv="2006.05467",
        bibtex="tanaka2020pruning",
        reported="Spearman .758 CIFAR-10, .750 CIFAR-100 on the valid cells (as rerun by VKDNW, CVPR 2025)",
    )

    def score(self, student: Probe, teacher: Probe) -> float:
        return _flow(student, norms_in=False)


@dataclass(frozen=True)
class SynflowBN(Proxy):
    """`synflow` with the batch norms left in: they normalise over the pixels of the input of ones.

    Its maps are not constant, as they are padded with zeros. Products of weight and gradient take either sign here.
    """

    name = "synflow_bn"
    family = "weights"
    needs = ("weights",)
    reference = replace(Synflow.reference, reported="")

    def score(self, student: Probe, teacher: Probe) -> float:
        return _flow(student, norms_in=True)


def _flow(student: Probe, norms_in: bool) -> float:
    """Sum over weights w of |w dR/dw|."""
    import torch

    from probe.calls import NORMS, SMOOTH, Kind
    from probe.observed import silence

    magnitudes = {name: value.abs().double() for name, value in student.parameters.items()}
    weights = [magnitudes[name].requires_grad_() for name in student.weights]
    ones = torch.ones(1, *student.image_shape, dtype=torch.float64, device=weights[0].device)

    def follow(call: Call) -> Any:
        if call.kind in SMOOTH:
            raise NotApplicable(f"synflow follows a signal that rectifiers pass on as it is, and here is {call.said}")
        if not norms_in and call.kind in (Kind.CLIPPED, Kind.STATISTIC):
            raise NotApplicable(f"synflow's signal grows without bounds, and stops at {call.said}")
        return call.run() if norms_in or call.kind not in NORMS else call.input

    with torch.enable_grad():
        logits = student.run(ones, follow, magnitudes).logits
        gradients = torch.autograd.grad(logits.sum(), weights, materialize_grads=True)
    by_name = dict(zip(student.weights, gradients, strict=True))
    student.remark(lambda: silence(student.weights, by_name))
    return sum((weight * gradient).abs().sum().item() for weight, gradient in zip(weights, gradients, strict=True))
