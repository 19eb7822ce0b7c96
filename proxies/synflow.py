"""SynFlow: how much signal flows through the weights' magnitudes, without data (NeurIPS 2020, arXiv 2006.05467)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from proxies.base import Proxy, Reference

if TYPE_CHECKING:
    from probe.network import Probe


@dataclass(frozen=True)
class Synflow(Proxy):
    """Sum over weights w of |w dR/dw|, R the sum of the logits for an input of ones, every parameter replaced by its
    magnitude, batch norms left out. In float64: values reach 1e60.
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
    from torch import nn

    network = student.network
    magnitudes = {name: value.detach().abs().double() for name, value in network.named_parameters()}
    names = list(student.weights)
    weights = [magnitudes[name].requires_grad_() for name in names]
    statistics = {name: value.double() for name, value in network.named_buffers() if value.is_floating_point()}
    size = student.skeleton.size
    ones = torch.ones(1, 3, size, size, dtype=torch.float64, device=weights[0].device)
    norms = [] if norms_in else [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_hook(lambda _module, inputs, _output: inputs[0]) for norm in norms]
    try:
        with torch.enable_grad():
            logits = torch.func.functional_call(network, magnitudes | statistics, (ones,)).logits
            gradients = torch.autograd.grad(logits.sum(), weights, materialize_grads=True)
    finally:
        for hook in hooks:
            hook.remove()
    return sum((weight * gradient).abs().sum().item() for weight, gradient in zip(weights, gradients, strict=True))
