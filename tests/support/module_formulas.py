"""Scores of a network of one's own worked out by its modules: hooks on a deep copy, and the formulas as published.

Independent of the calls that a probe sees: it knows a network by the types of its modules, so it is right where every
layer, norm and activation is a module that runs once, and dropout is off.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

LAYERS = (nn.Conv2d, nn.Linear)
NORMS = (nn.BatchNorm2d, nn.BatchNorm1d, nn.LayerNorm, nn.GroupNorm)
RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.Hardtanh)


def still(network: nn.Module) -> nn.Module:
    """A deep copy in training mode that drops nothing and writes over nothing."""
    found = copy.deepcopy(network).train()
    for module in found.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "drop_prob"):
            module.drop_prob = 0.0
        if hasattr(module, "inplace"):
            module.inplace = False
    return found


def logits_of(returned: Any) -> torch.Tensor:
    return returned if isinstance(returned, torch.Tensor) else returned.logits


@contextmanager
def hooked(network: nn.Module, kinds: tuple[type, ...], hook: Callable[..., Any]) -> Iterator[None]:
    handles = [module.register_forward_hook(hook) for module in network.modules() if isinstance(module, kinds)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def weights(network: nn.Module) -> list[nn.Parameter]:
    return [module.weight for module in network.modules() if isinstance(module, LAYERS)]


def gradients(
    network: nn.Module, images: torch.Tensor, labels: torch.Tensor
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(weight, gradient of the loss in it) of every layer."""
    ours = still(network)
    cross_entropy(logits_of(ours(images)), labels).backward()
    return [(w.detach(), torch.zeros_like(w) if w.grad is None else w.grad) for w in weights(ours)]


def params(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_adds(network: nn.Module, image: torch.Tensor) -> int:
    """Of convolutions and linear layers; not of the products of attention."""
    total = 0

    def count(layer: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
        nonlocal total
        total += output.numel() * layer.weight[0].numel()  # type: ignore[operator, index, union-attr]

    ours = still(network).eval()
    with torch.no_grad(), hooked(ours, LAYERS, count):
        ours(image)
    return total


def snip(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    return sum((w * g).abs().sum().item() for w, g in gradients(network, images, labels))


def plain(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    return sum((w * g).sum().item() for w, g in gradients(network, images, labels))


def grad_norm(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    return sum(g.norm().item() for _, g in gradients(network, images, labels))


def l2_norm(network: nn.Module) -> float:
    return sum(w.detach().norm().item() for w in weights(network))


def fisher(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """From the gradients that reach the layers' outputs, by hooks on tensors."""
    ours, total = still(network), 0.0
    seen: list[tuple[nn.Module, torch.Tensor]] = []
    with hooked(ours, LAYERS, lambda layer, _, output: seen.append((layer, output))):
        loss = cross_entropy(logits_of(ours(images)), labels)
    for (layer, a), g in zip(seen, torch.autograd.grad(loss, [a for _, a in seen], allow_unused=True), strict=True):
        if g is None:
            continue
        products = (a * g).detach().numpy()
        if isinstance(layer, nn.Conv2d):
            products = np.moveaxis(products, 1, -1)
        per_image = products.reshape(len(images), -1, products.shape[-1]).sum(1)
        n = layer.weight[0].numel()  # type: ignore[operator, index, union-attr]
        total += n / 2 * (per_image**2).mean(0).sum()
    return float(total)


def codes(network: nn.Module, images: torch.Tensor) -> np.ndarray:
    """Which units of all rectifiers are on, bool [B, D]."""
    found: list[np.ndarray] = []
    ours = still(network)

    def keep(_module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        found.append((inputs[0] > 0).flatten(1).numpy())

    for module in ours.modules():
        if isinstance(module, RECTIFIERS):
            module.register_forward_pre_hook(keep)
    with torch.no_grad():
        ours(images)
    return np.concatenate(found, axis=1)


def nwot(network: nn.Module, images: torch.Tensor) -> float:
    c = codes(network, images).astype(float)
    return float(np.linalg.slogdet(c @ c.T + (1 - c) @ (1 - c).T)[1])


def swap(network: nn.Module, images: torch.Tensor) -> float:
    return float(len({column.tobytes() for column in codes(network, images).T}))


def effective_rank(rows: np.ndarray) -> float:
    s = np.linalg.svd(rows.astype(float), compute_uv=False)
    p = s[s > 0] / s.sum()
    return math.exp(-(p * np.log(p)).sum()) if len(p) else 0.0


def near(network: nn.Module, images: torch.Tensor, activations: tuple[type, ...]) -> float:
    """Of what convolutions, linear layers, norms and activations put out; an activation's channels are its input's."""
    total, last_is_channels = 0.0, False

    def rank(module: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
        nonlocal total, last_is_channels
        if not isinstance(module, activations):
            last_is_channels = isinstance(module, nn.Linear | nn.LayerNorm)
        values = output.detach().numpy()
        values = values if last_is_channels or values.ndim == 2 else np.moveaxis(values, 1, -1)
        total += effective_rank(values.reshape(-1, values.shape[-1]))

    ours = still(network)
    with torch.no_grad(), hooked(ours, (*LAYERS, *NORMS, *activations), rank):
        ours(images)
    return total


def zen(network: nn.Module, images: torch.Tensor, last_map: str) -> float:
    """`last_map` names the module that puts out what is pooled."""
    ours, maps = still(network), []
    for module in ours.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = 0.1
    ours.get_submodule(last_map).register_forward_hook(lambda _, __, output: maps.append(output))
    with torch.no_grad():
        for x in (images, images + 0.01 * images.roll(-1, 0)):
            ours(x)
    norms = [module for module in ours.modules() if isinstance(module, nn.BatchNorm2d)]
    scale = sum(math.log(math.sqrt(norm.running_var.mean().item())) for norm in norms)  # type: ignore[union-attr]
    return math.log((maps[0] - maps[1]).abs().sum((1, 2, 3)).mean().item()) + scale


def synflow(network: nn.Module, shape: tuple[int, ...]) -> float:
    ours = still(network).double()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.abs_()
    with hooked(ours, NORMS, lambda _, inputs, __: inputs[0]):
        logits_of(ours.eval()(torch.ones(1, *shape, dtype=torch.float64))).sum().backward()
    return sum((w * w.grad).abs().sum().item() for w in weights(ours) if w.grad is not None)


def jacov(network: nn.Module, images: torch.Tensor) -> float:
    leaf = images.clone().requires_grad_()
    logits_of(still(network)(leaf)).sum().backward()
    assert leaf.grad is not None
    v = np.linalg.eigvalsh(np.corrcoef(leaf.grad.flatten(1).double().numpy())) + 1e-5
    return float(-(np.log(v) + 1 / v).sum())


def kd(teacher: nn.Module, student: nn.Module, images: torch.Tensor, T: float = 4.0) -> float:
    with torch.no_grad():
        t, s = (logits_of(still(each)(images)).double().numpy() / T for each in (teacher, student))
    p, q = (np.exp(z - z.max(1, keepdims=True)) for z in (t, s))
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    return float(-(T**2) * (p * np.log(p / q)).sum(1).mean())
