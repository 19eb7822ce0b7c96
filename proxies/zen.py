"""Zen: how far a network without data moves its last map when its input moves (ICCV 2021, arXiv 2102.01063)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from proxies.base import NotApplicable, Proxy, Reference

if TYPE_CHECKING:
    import torch

    from probe.calls import Call
    from probe.network import Probe


@dataclass(frozen=True)
class Zen(Proxy):
    """log (mean over images of sum |f(x) - f(x')|) + sum over batch norms of log sqrt (mean over channels of r).

    f is the map [B, C, H, W] that gets pooled, x are N(0, 1) images and x'_n = x_n + .01 x_(n+1): another image serves
    as the noise. r = .81 + .09 v + .1 v' is the running variance, begun at 1 with momentum .1, after x and x', whose
    unbiased variances in front of the batch norm are v and v'. -inf where the output does not depend on the input.
    """

    name = "zen"
    least = 2
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
        noise = student.noise
        before, first = _observed(noise, noise.images)
        after, second = _observed(noise, noise.images + 0.01 * noise.images.roll(-1, 0))
        distance = (before - after).abs().sum((1, 2, 3)).mean()
        scale = sum(_running(*pair).mean().log().item() for pair in zip(first, second, strict=True)) / 2
        return distance.log().item() + scale


def _observed(probe: Probe, images: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The map that gets pooled, and the variances [C] in front of each batch norm."""
    import torch

    from probe.calls import Kind
    from probe.needs import NO_MAPS

    variances: list[torch.Tensor] = []

    def observe(call: Call) -> Any:
        if call.kind in (Kind.OTHER_NORM, Kind.STATISTIC):
            raise NotApplicable(f"zen makes up for what batch norms take away, and has no term for {call.said}")
        if call.kind is Kind.BATCH_NORM:
            variances.append(call.input.var([0, *range(2, call.input.ndim)]))
        return call.run()

    with torch.no_grad():
        features = probe.run(images, observe).features
    if not features:
        raise NotApplicable(NO_MAPS)
    return features[-1], variances


def _running(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """A running variance after two batches, in float64."""
    import torch

    return 0.9 * (0.9 * torch.ones_like(first, dtype=torch.float64) + 0.1 * first) + 0.1 * second
