"""Zen: how far a network without data moves its last map when its input moves (ICCV 2021, arXiv 2102.01063)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxies.base import Proxy, Reference

if TYPE_CHECKING:
    import torch
    from torch import nn

    from probe.network import Probe


@dataclass(frozen=True)
class Zen(Proxy):
    """log (mean over images of sum |f(x) - f(x')|) + sum over batch norms of log sqrt (mean over channels of r).

    f is the map [B, C, H, W] that gets pooled, x are N(0, 1) images and x'_n = x_n + .01 x_(n+1): another image serves
    as the noise. r = .81 + .09 v + .1 v' is the running variance, begun at 1 with momentum .1, after x and x', whose
    unbiased variances in front of the batch norm are v and v'. -inf where the output does not depend on the input.
    """

    name = "zen"
    family = "activation"
    needs = ("noise.forward", "noise.weights")
    sees = "executed"
    reference = Reference(
        title="Zen-NAS: A Zero-Shot NAS for High-Performance Image Recognition",
        year=2021,
        arxiv="2102.01063",
        bibtex="lin2021zennas",
        reported="Spearman .103 CIFAR-10, .072 CIFAR-100 on the valid cells (as rerun by VKDNW, CVPR 2025)",
    )

    init: str = "gaussian"

    def score(self, student: Probe, teacher: Probe) -> float:
        import torch
        from torch import nn

        network, images = student.noise.network, student.noise.images
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        running: dict[nn.Module, torch.Tensor] = {
            norm: torch.ones(norm.num_features, dtype=torch.float64, device=images.device) for norm in norms
        }

        def average(norm: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            running[norm] = 0.9 * running[norm] + 0.1 * inputs[0].var((0, 2, 3))

        hooks = [norm.register_forward_pre_hook(average) for norm in norms]
        try:
            with torch.no_grad():
                before = network(images).features[-1]
                after = network(images + 0.01 * images.roll(-1, 0)).features[-1]
        finally:
            for hook in hooks:
                hook.remove()
        distance = (before - after).abs().sum((1, 2, 3)).mean()
        scale = sum(variance.mean().log().item() for variance in running.values()) / 2
        return distance.log().item() + scale
