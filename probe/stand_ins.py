"""Running a network with other tensors in the places of its own, wherever its modules hold them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.func import functional_call


def run_with(network: nn.Module, tensors: Mapping[str, torch.Tensor], images: torch.Tensor) -> Any:
    """What the network returns for images, with tensors by the names of `named_parameters` and `named_buffers`.

    torch's `functional_call` goes by names: of a module that is registered under two it exchanges each tensor twice,
    and puts back what stood there in between. Here it gets every place once, and for a tensor that several modules
    hold all of their places.
    """
    own = {
        f"{name}.{part}" if name else part: tensor
        for name, module in network.named_modules()
        for part, tensor in (*module._parameters.items(), *module._buffers.items())
        if tensor is not None
    }
    stand_ins = {own[name]: tensor for name, tensor in tensors.items()}
    placed = {name: stand_ins[tensor] for name, tensor in own.items() if tensor in stand_ins}
    return functional_call(network, placed, (images,), tie_weights=False)
