"""Other initialisations of a network of one's own, by the rules of `spaces.draw`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import nn

from probe.needs import NotApplicable
from spaces.draw import Draw


class Role(NamedTuple):
    """What a parameter is for: `weight` and `bias` of a layer, `scale` and `shift` of a norm."""

    part: str
    fan_in: int = 0
    """Of the layer: how many numbers make one of its outputs."""


def redrawn(
    parameters: Mapping[str, torch.Tensor], roles: Mapping[str, Role], seed: int, init: str
) -> dict[str, torch.Tensor]:
    """The parameters with those that have a role drawn anew: layers as `Draw` draws them, norms at 1 and 0.

    The number of a parameter among those drawn, in the order of the modules, is its position. What has no role, such
    as class tokens, position embeddings and scales of branches, keeps its values. Raises NotApplicable where a
    weight is made from others.
    """
    draw = Draw(seed, init)
    found: dict[str, torch.Tensor] = {}
    for name, parameter in parameters.items():
        part, fan_in = roles.get(name, Role(""))
        if part == "weight" or (part == "bias" and init == "default"):
            if fan_in == 0:
                raise NotApplicable(f"init {init} draws weights, and {name} makes one together with others")
            values = draw.draw(f"module/{len(found)}", tuple(parameter.shape), fan_in)
            found[name] = torch.empty_like(parameter).copy_(values)
        elif part:
            found[name] = torch.full_like(parameter, 1.0 if part == "scale" else 0.0)
    return {**parameters, **found}


def restarted(network: nn.Module) -> dict[str, torch.Tensor]:
    """The running statistics of batch norms as they start: mean 0, variance 1."""
    found = {}
    for name, module in network.named_modules():
        for buffer, value in (("running_mean", 0.0), ("running_var", 1.0)):
            held = getattr(module, buffer, None)
            if isinstance(held, torch.Tensor):
                found[f"{name}.{buffer}" if name else buffer] = torch.full_like(held, value)
    return found
