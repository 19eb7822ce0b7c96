"""MeCo: how far from redundant the channels of every feature map are, on one image of noise (NeurIPS 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from proxies.base import NotApplicable, Proxy, Reference

if TYPE_CHECKING:
    import torch

    from probe.calls import Call
    from probe.network import Probe


@dataclass(frozen=True)
class MeCo(Proxy):
    """Sum over convolutions of the smallest eigenvalue of R [C, C], the correlations of its output's channels.

    Over the pixels of one N(0, 1) image of 64 x 64; correlations with a constant channel, its own too, are 0. A batch
    norm changes no correlation, so it is not counted again: the authors' code adds up all modules, containers too, and
    so the same matrix several times. A linear layer on maps or tokens is a convolution too.
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

        from probe.calls import Kind

        smallest: list[float] = []
        narrow: list[str] = []

        def observe(call: Call) -> Any:
            output = call.run()
            if call.kind is Kind.CONVOLUTION or (call.kind is Kind.LINEAR and output.ndim > 2):
                rows = call.rows(output)
                smallest.append(_smallest_eigenvalue(rows.T))
                narrow.extend([call.name] * (len(rows) <= rows.shape[1]))
            return output

        with torch.no_grad():
            student.large.run(student.large.images, observe)
        if len(narrow) == len(smallest):
            raise NotApplicable("meco: no layer puts out more pixels than channels, so every smallest eigenvalue is 0")
        if narrow:
            student.remark(lambda: f"{len(narrow)} of {len(smallest)} layers have no more pixels than channels: 0 each")
        return sum(smallest)


def _smallest_eigenvalue(channels: torch.Tensor) -> float:
    """Of the correlations between the rows of [C, pixels]."""
    import torch

    if channels.shape[1] == 1:  # nothing varies
        return 0.0
    correlations = torch.atleast_2d(torch.corrcoef(channels.double()))
    constant = (channels == channels[:, :1]).all(dim=1)
    correlations[constant] = 0
    correlations[:, constant] = 0
    broken = correlations.isnan().any()  # the eigensolver would raise
    return math.nan if broken else torch.linalg.eigvalsh(correlations)[0].item()
