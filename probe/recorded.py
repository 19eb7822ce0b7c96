"""A forward pass of which hooks record what a probe's readers need."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial

import torch
from torch import nn

from probe.observed import Observed
from probe.relus import ReluRecord
from spaces.output import Output


def recorded(
    network: nn.Module, layers: Mapping[nn.Conv2d | nn.Linear, str], needs: Collection[str], run: Callable[[], Output]
) -> Observed:
    """What `run`, a forward pass of the network, showed of what is needed; no hook is left behind.

    The outputs of `layers` come with their names. Where blocks are differentiated, theirs belong to the graph.
    """
    record = ReluRecord("relu_codes" in needs, "relu_kernel" in needs)
    outputs: list[tuple[str, torch.Tensor]] = []
    maps: list[torch.Tensor] = []
    differentiated = "block_gradients" in needs

    def keep_map(_block: nn.Module, _inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if differentiated and not output.requires_grad:  # zeros that nothing reached are the next block's input too
            output.requires_grad_()
        maps.append(output if differentiated else output.detach())

    def keep_output(name: str, _layer: nn.Module, _inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        outputs.append((name, output))

    blocks = blocks_of(network) if differentiated or "blocks" in needs else []
    hooks = [block.register_forward_hook(keep_map) for block in blocks]
    if record.codes_wanted or record.kernel_wanted:
        relus = [module for module in network.modules() if isinstance(module, nn.ReLU)]
        hooks += [relu.register_forward_pre_hook(record) for relu in relus]
    hooks += [layer.register_forward_hook(partial(keep_output, name)) for layer, name in layers.items()]
    try:
        return Observed(run(), record, outputs, maps)
    finally:
        for hook in hooks:
            hook.remove()


def blocks_of(network: nn.Module) -> list[nn.Module]:
    """The stem and the blocks behind it: cells and reductions, or residual blocks; those a network lists."""
    blocks = getattr(network, "blocks", None)
    return blocks if isinstance(blocks, list) else []
