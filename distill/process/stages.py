"""What a network shows of a batch at its named stages, by a hook that is there for one forward pass only."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

STAGES = ("stem", "stage1", "stage2", "stage3", "pooled")
"""From the first to the last, of cells and ResNets alike: the stem, the ends of the three stages as `Output.features`
shows them, the last of them averaged over space."""


class Seen(NamedTuple):
    """An `Output` (spaces/output.py), the stem's map, and the weight [K, C] of the classifier that read `pooled`."""

    logits: torch.Tensor
    pooled: torch.Tensor
    features: tuple[torch.Tensor, ...]
    stem: torch.Tensor
    classifier: torch.Tensor

    def stage(self, name: str) -> torch.Tensor:
        """The map [N, C, H, W] of a stage in `STAGES`; pooled features are a map of one pixel."""
        if name == "pooled":
            return self.pooled[:, :, None, None]
        return self.stem if name == "stem" else self.features[STAGES.index(name) - 1]

    def full(self) -> Seen:
        """The same in float32 where a forward pass under autocast left less."""
        features = tuple(map(_full, self.features))
        return Seen(_full(self.logits), _full(self.pooled), features, _full(self.stem), _full(self.classifier))


class Tapped(nn.Module):
    """A network of either space: `forward` gives what is `Seen`. The network itself stays as it was."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> Seen:
        """Images [B, 3, H, W], normalised."""
        maps: list[torch.Tensor] = []
        stem, classifier = self.network.stem, self.network.classifier
        assert isinstance(stem, nn.Module)
        assert isinstance(classifier, nn.Module)
        hook = stem.register_forward_hook(lambda module, inputs, output: maps.append(output))
        try:
            output = self.network(images)
        finally:
            hook.remove()
        weight = classifier.weight
        assert isinstance(weight, torch.Tensor)
        return Seen(output.logits, output.pooled, output.features, maps[0], weight)

    @torch.no_grad()
    def look(self, images: torch.Tensor) -> Seen:
        """As `forward` in evaluation mode, without a gradient."""
        self.eval()
        seen: Seen = self(images)
        return seen._replace(classifier=seen.classifier.detach())


def _full(value: torch.Tensor) -> torch.Tensor:
    return value.float() if value.dtype == torch.bfloat16 else value
