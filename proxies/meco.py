"""MeCo: how far from redundant the channels of every feature map are, on one image of noise (NeurIPS 2023)."""

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
class MeCo(Proxy):
    """Sum over convolutions of the smallest eigenvalue of R [C, C], the correlations of its output's channels.

    Over the pixels of one N(0, 1) image of 64 x 64; correlations with a constant channel, its own too, are 0. A batch
    norm changes no correlation, so it is not counted again: the authors' code adds up all modules, containers too, and
    so the same matrix several times.
    """

    name = "meco"
    family = "activation"
    needs = ("large.forward", "large.weights")
    sees = "executed"
    reference = Reference(
        title="MeCo: Zero-Shot NAS with One Data and Single Forward Pass via Minimum Eigenvalue of Correlation",
        year=2023,
        arxiv="",
        bibtex="jiang2023meco",
        reported="Spearman .89 CIFAR-10, reported by its authors",
    )

    def score(self, student: Probe, teacher: Probe) -> float:
        import torch
        from torch import nn

        smallest: list[float] = []

        def observe(_layer: nn.Module, _inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            correlations = torch.atleast_2d(torch.corrcoef(output[0].flatten(1).double()))
            constant = (output[0] == output[0, :, :1, :1]).all(dim=(1, 2))
            correlations[constant] = 0
            correlations[:, constant] = 0
            broken = correlations.isnan().any()  # the eigensolver would raise
            smallest.append(math.nan if broken else torch.linalg.eigvalsh(correlations)[0].item())

        network = student.large.network
        hooks = [layer.register_forward_hook(observe) for layer in network.modules() if isinstance(layer, nn.Conv2d)]
        try:
            with torch.no_grad():
                network(student.large.images)
        finally:
            for hook in hooks:
                hook.remove()
        return sum(smallest)
