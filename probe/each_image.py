"""Derivatives of each image by itself, in one pass of a batch through a network of a space.

The layers of such a network are convolutions of one group, batch norms of maps and a classifier of pooled features:
what a layer read and the derivative in what it put out make the derivative of each image in its weight.
"""

from __future__ import annotations

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
    names = {module: name for name, module in network.named_modules()}
    seen: dict[nn.Module, tuple[torch.Tensor, torch.Tensor]] = {}

    def keep(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        seen[layer] = (inputs[0].detach(), output)

    hooks = [module.register_forward_hook(_each_alone) for module in names if isinstance(module, nn.BatchNorm2d)]
    hooks += [module.register_forward_hook(keep) for module in names if isinstance(module, nn.Conv2d | nn.Linear)]
    try:
        with torch.enable_grad():
            loss = cross_entropy(network(batch.images).logits, batch.labels, reduction="sum")
            outputs = [output for _, output in seen.values()]
            gradients = torch.autograd.grad(loss, outputs, allow_unused=True)
    finally:
        for hook in hooks:
            hook.remove()
    return {
        f"{names[layer]}.weight": _signs(layer, input, gradient)
        for (layer, (input, _)), gradient in zip(seen.items(), gradients, strict=True)
        if gradient is not None  # else no weight of the layer reaches the loss
    }


def _each_alone(norm: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
    """A forward hook that makes a batch norm normalise each image over its own pixels."""
    assert isinstance(norm, nn.BatchNorm2d)
    if len(output) == 1:  # alone as it is, and torch 2.13's instance norm of one image has a wrong gradient
        return output
    return instance_norm(inputs[0], weight=norm.weight, bias=norm.bias, eps=norm.eps)


def _signs(layer: nn.Module, input: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """For a layer's weights the sum over images of the sign of the loss's derivative in the weight.

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
        of_weights = found.unflatten(0, (count, -1))
    else:
        of_weights = gradient[:, :, None] * input[:, None]
    return sum_of_signs(of_weights)


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
    names = [name.rpartition(".")[::2] for name, _ in network.named_parameters()][:tensors]
    layers = {owner: network.get_submodule(owner) for owner, _ in names}
    seen: dict[nn.Module, tuple[torch.Tensor, torch.Tensor]] = {}

    def keep(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        seen[layer] = (inputs[0].detach(), output)
        return output.clone()  # for whoever comes next to write over, as the last ReLU of xautodl's network does

    hooks = [layer.register_forward_hook(keep) for layer in layers.values()]
    network.eval()
    try:
        with torch.enable_grad():
            logits = network(images).logits
            totals = logits.sum(0).unbind()
    finally:
        network.train()
        for hook in hooks:
            hook.remove()
    outputs = [seen[layer][1] for layer in layers.values()]
    factors = [
        _read_by_first_weight(layers[owner], *seen[layers[owner]]) if kind == "weight" else None
        for owner, kind in names
    ]
    jacobian = logits.new_zeros(len(totals), len(names), len(images))
    for row, total in zip(jacobian, totals, strict=True):
        gradients = torch.autograd.grad(total, outputs, retain_graph=True, allow_unused=True)
        first = dict(zip(layers, gradients, strict=True))
        for place, (owner, _), factor in zip(row, names, factors, strict=True):
            gradient = first[owner]
            if gradient is not None:  # else a dead operation: zeros
                share = gradient[:, 0] if factor is None else gradient[:, 0] * factor
                place.copy_(share.flatten(1).sum(1) if share.ndim > 1 else share)
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
