"""GradSign: do the images of a batch agree on the direction of descent? (ICLR 2022, arXiv 2110.08616)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxies.base import Proxy, Reference

if TYPE_CHECKING:
    import torch
    from torch import nn

    from probe.network import Probe


@dataclass(frozen=True)
class GradSign(Proxy):
    """Sum over the weights w of convolutions and the classifier of |sum over images i of sign(dl_i/dw)|.

    l_i is the cross-entropy of image i seen alone, batch norms normalising over its pixels. That is what instance norms
    do in a batch: one forward and one backward pass for all images, to what the layers put out.
    """

    name = "gradsign"
    family = "gradient"
    needs = ("forward", "weights")
    reference = Reference(
        title="GradSign: Model Performance Inference with Theoretical Insights",
        year=2022,
        arxiv="2110.08616",
        bibtex="zhang2022gradsign",
        reported="Spearman .765 CIFAR-10, .793 CIFAR-100",
    )

    def score(self, student: Probe, teacher: Probe) -> float:
        import torch
        from torch import nn
        from torch.nn.functional import cross_entropy

        network = student.network
        modules = list(network.modules())
        seen: dict[nn.Module, tuple[torch.Tensor, torch.Tensor]] = {}

        def keep(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            seen[layer] = (inputs[0].detach(), output)

        hooks = [module.register_forward_hook(_each_alone) for module in modules if isinstance(module, nn.BatchNorm2d)]
        hooks += [module.register_forward_hook(keep) for module in modules if isinstance(module, nn.Conv2d | nn.Linear)]
        try:
            with torch.enable_grad():
                loss = cross_entropy(network(student.images).logits, student.labels, reduction="sum")
                outputs = [output for _, output in seen.values()]
                gradients = torch.autograd.grad(loss, outputs, allow_unused=True)
        finally:
            for hook in hooks:
                hook.remove()
        return sum(
            _agreement(layer, input, gradient)
            for (layer, (input, _)), gradient in zip(seen.items(), gradients, strict=True)
            if gradient is not None  # else no weight of the layer reaches the loss: no votes
        )


def _each_alone(norm: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
    """A forward hook that makes a batch norm normalise each image over its own pixels."""
    from torch import nn
    from torch.nn.functional import instance_norm

    assert isinstance(norm, nn.BatchNorm2d)
    if len(output) == 1:  # alone as it is, and torch 2.13's instance norm of one image has a wrong gradient
        return output
    return instance_norm(inputs[0], weight=norm.weight, bias=norm.bias, eps=norm.eps)


def _agreement(layer: nn.Module, input: torch.Tensor, gradient: torch.Tensor) -> float:
    """Sum over a layer's weights of |sum over images of the sign of the loss's derivative in the weight|.

    From what the layer read [B, C_in, ...], and the derivatives [B, C_out, ...] in what it put out.
    """
    import torch
    from torch import nn
    from torch.nn.grad import conv2d_weight

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
    if of_weights.isnan().any():  # the sign of NaN is 0 in torch
        return math.nan
    return of_weights.sign_().sum(0).abs_().sum().item()
