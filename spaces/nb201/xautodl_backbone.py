"""The original network class, xautodl's `TinyNetwork`, with the weights of a draw (`--backbone xautodl`)."""

from __future__ import annotations

import torch
from torch import nn

from common.errors import BadInput
from spaces.draw import Draw
from spaces.nb201.cell import Cell
from spaces.nb201.network import CellNetwork
from spaces.nb201.skeleton import CellSkeleton
from spaces.output import Output


class XautodlNetwork(nn.Module):
    """`TinyNetwork` behind the interface of `CellNetwork`. Every operation is executed, `none` as x times 0."""

    def __init__(self, cell: Cell, skeleton: CellSkeleton, draw: Draw, sees: str = "executed") -> None:
        super().__init__()
        try:
            from xautodl.models.cell_infers.tiny_network import TinyNetwork
            from xautodl.models.cell_searchs.genotypes import Structure
        except ImportError as error:
            raise BadInput(
                "the xautodl backbone needs xautodl: run `make setup`, or pip install --no-deps xautodl"
            ) from error
        self.cell = cell
        self.skeleton = skeleton
        with torch.random.fork_rng(devices=[]):  # the constructor draws from the global generator
            structure = Structure.str2structure(str(cell))
            self.inner = TinyNetwork(skeleton.channels, skeleton.cells_per_stage, structure, skeleton.classes)
        ours = CellNetwork(cell, skeleton, draw, sees="executed")
        missing, unexpected = self.inner.load_state_dict(ours.state_dict(), strict=False)
        if missing or unexpected:
            raise BadInput(
                f"this xautodl names its parameters otherwise: {[*missing, *unexpected][:3]}; 1.0.0 is known to fit"
            )
        for module in self.inner.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = draw.momentum
        self.inner.to(draw.device)

    def rebuilt(self, skeleton: CellSkeleton, draw: Draw) -> XautodlNetwork:
        """The network of the same cell on another skeleton, of another draw."""
        return XautodlNetwork(self.cell, skeleton, draw)

    @property
    def blocks(self) -> list[nn.Module]:
        """The stem and the blocks behind it: cells and reductions."""
        return [self.inner.stem, *self.inner.cells]

    def forward(self, images: torch.Tensor) -> Output:
        """Images [B, 3, H, W], normalised."""
        features: list[torch.Tensor] = []
        taps = [*(block for block in self.inner.cells if hasattr(block, "conv_a")), self.inner.global_pooling]
        hooks = [tap.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0])) for tap in taps]
        try:
            pooled, logits = self.inner(images)
        finally:
            for hook in hooks:
                hook.remove()
        return Output(logits, pooled, tuple(features))
