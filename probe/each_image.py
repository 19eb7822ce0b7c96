"""Derivatives of each image by itself, in one pass of a batch through a network of a space.

The layers of such a network are convolutions of one group, batch norms of maps and a classifier of pooled features:
what a layer read and the derivative in what it put out make the derivative of each image in its weight.
"""

from __future__ import annotations

from functools import reduce

import torch
from torch import nn
from torch.nn.functional import cross_entropy, instance_norm, pad
from torch.nn.grad import conv2d_weight

from images.base import Batch


def sign_sums(network: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
    """For the weights w of convolutions and the classifier, by name: sum over images i of sign(dl_i/dw).

    l_i is the cross-entropy of image i seen alone, batch norms normalising over its pixels. That is what instance norms
    do in a batch: one forward and one backward pass for all images, to what the layers put out. Layers that do not
    reach the loss are left out; NaN where one of a layer's derivatives is.
    """
    names = {parameter: name for name, parameter in network.named_parameters()}
    seen: list[tuple[nn.Module, torch.Tensor, torch.Tensor]] = []

    def keep(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        seen.append((layer, inputs[0].detach(), output))

    modules = list(network.modules())
    hooks = [module.register_forward_hook(_each_alone) for module in modules if isinstance(module, nn.BatchNorm2d)]
    hooks += [module.register_forward_hook(keep) for module in modules if isinstance(module, nn.Conv2d | nn.Linear)]
    try:
        with torch.enable_grad():
            loss = cross_entropy(network(batch.images).logits, batch.labels, reduction="sum")
            outputs = [output for _, _, output in seen]
            gradients = torch.autograd.grad(loss, outputs, allow_unused=True)
    finally:
        for hook in hooks:
            hook.remove()
    uses: dict[str, list[tuple[nn.Module, torch.Tensor, torch.Tensor]]] = {}
    for (layer, input, _), gradient in zip(seen, gradients, strict=True):
        if gradient is not None:  # else no weight of the layer reaches the loss
            uses.setdefault(names[layer.get_parameter("weight")], []).append((layer, input, gradient))
    return {name: sum_of_signs(reduce(torch.add, (_of_weights(*use) for use in found))) for name, found in uses.items()}


def _each_alone(norm: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
    """A forward hook that makes a batch norm normalise each image over its own pixels."""
    assert isinstance(norm, nn.BatchNorm2d)
    if len(output) == 1:  # alone as it is, and torch 2.13's instance norm of one image has a wrong gradient
        return output
    return instance_norm(inputs[0], weight=norm.weight, bias=norm.bias, eps=norm.eps)


def _of_weights(layer: nn.Module, input: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """For each image the loss's derivative in a layer's weights, [B, *weight], that one of its uses adds.

    From what the layer read [B, C_in, ...], and the derivatives [B, C_out, ...] in what it put out.
    """
    count = len(input)
    if isinstance(layer, nn.Conv2d):
        # the images as groups of one image's channels: a gradient for each
        shape = torch.Size((count * layer.out_channels, *layer.weight.shape[1:]))
        stride, padding = layer.stride, layer.padding
        found = conv2d_weight(
            input.flatten(0, 1)[None], shape, gradient.flatten(0, 1)[None], stride, padding, groups=count
        )
        return found.unflatten(0, (count, -1))
    return gradient[:, :, None] * input[:, None]


def sum_of_signs(of_weights: torch.Tensor) -> torch.Tensor:
    """Sum over images of the signs of derivatives [B, ...], which it overwrites; NaN where one of them is."""
    if of_weights.isnan().any():  # the sign of NaN is 0 in torch
        return of_weights.new_full(of_weights.shape[1:], torch.nan)
    return of_weights.sign_().sum(0)


def logit_jacobian(network: nn.Module, images: torch.Tensor, tensors: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [B, K] in evaluation and their derivatives [B, K, P] in the first weight of each of the first tensors.

    One backward pass for each logit, to what the layers put out: in evaluation each image has its own way through the
    network, and a layer's first weight takes part in its first channel alone.
    """
    places = {parameter: place for place, parameter in enumerate(list(network.parameters())[:tensors])}
    layers = [module for module in network.modules() if not places.keys().isdisjoint(module.parameters(recurse=False))]
    seen: list[tuple[nn.Module, torch.Tensor, torch.Tensor]] = []

    def keep(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        seen.append((layer, inputs[0].detach(), output))
        return output.clone()  # for whoever comes next to write over, as the last ReLU of xautodl's network does

    hooks = [layer.register_forward_hook(keep) for layer in layers]
    network.eval()
    try:
        with torch.enable_grad():
            logits = network(images).logits
            totals = logits.sum(0).unbind()
    finally:
        network.train()
        for hook in hooks:
            hook.remove()
    outputs = [output for _, _, output in seen]
    uses = [
        (places[parameter], run, _read_by_first_weight(*seen[run]) if kind == "weight" else None)
        for run, (layer, _, _) in enumerate(seen)
        for kind, parameter in layer.named_parameters(recurse=False)
        if parameter in places
    ]
    jacobian = logits.new_zeros(len(totals), len(places), len(images))
    for row, total in zip(jacobian, totals, strict=True):
        gradients = torch.autograd.grad(total, outputs, retain_graph=True, allow_unused=True)
        for place, run, factor in uses:
            gradient = gradients[run]
            if gradient is not None:  # else a dead operation: zeros
                share = gradient[:, 0] if factor is None else gradient[:, 0] * factor
                row[place] += share.flatten(1).sum(1) if share.ndim > 1 else share
    return logits.detach(), jacobian.permute(2, 0, 1)


def _read_by_first_weight(layer: nn.Module, input: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """What a layer's first weight is multiplied with for its first channel: [B, H, W] as the output, or [B]."""
    first = input[:, 0]
    if isinstance(layer, nn.Conv2d):
        assert not isinstance(layer.padding, str)
        (top, left), (down, right), (height, width) = layer.padding, layer.stride, output.shape[2:]
        return pad(first, (left, left, top, top))[:, ::down, ::right][:, :height, :width]
    if isinstance(layer, nn.BatchNorm2d):
        assert layer.running_mean is not None
        assert layer.running_var is not None
        return (first - layer.running_mean[0]) / (layer.running_var[0] + layer.eps).sqrt()
    return first
