"""What a batched run of cells keeps beside its output (`Recording`): ReLU inputs, block outputs, layer runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch


class Values(NamedTuple):
    """`Values` holds all values of one node, and says which of them each cell has."""

    table: torch.Tensor
    """[V, B, H, W, C]"""
    of: tuple[int, ...]

    def maps(self) -> list[torch.Tensor]:
        """The map of each cell, [B, C, H, W]: views."""
        return [self.table[value].movedim(-1, 1) for value in self.of]


class Relu(NamedTuple):
    """A `Relu` is the common input of ReLUs that read the same values, and the list of those ReLUs by cell."""

    values: torch.Tensor
    """[V, B, H, W, C], before rectifying."""
    readers: tuple[tuple[int, int, int, tuple[int, ...]], ...]
    """(cell, row of `values`, how many equal ReLUs of the original network it stands for, its place in their order)."""


class Part(NamedTuple):
    """A `Part` names one of the layers that stand side by side in a `LayerRun`."""

    place: tuple[int, int]
    """Where it stands in the network: number of the block, -1 the stem's, and position in it."""
    layer: str
    """Convolution or classifier; empty of a batch norm alone."""
    norm: str
    """Batch norm behind it; empty without."""


class LayerRun(NamedTuple):
    """A `LayerRun` records one operation that computed a layer for several cells, each of which had its own value.

    Its tensors belong to the autograd graph: derivatives are taken in `output`, `scale` and `shift`.
    """

    parts: tuple[Part, ...]
    """Side by side along the channels, equally many each."""
    cells: tuple[int, ...]
    """Whose value each row is."""
    read: torch.Tensor
    """[V, B, H, W, C_in], [V, B, C_in] of the classifier; one row where all cells read the same."""
    output: torch.Tensor
    """[V, B, H, W, C], [V, B, K] of the classifier; before the batch norm."""
    kernel: int = 0
    """Side of the convolutions; 0 where there is none."""
    stride: int = 1
    scale: torch.Tensor | None = None
    """[V, C]: the batch norms' weights, copied for each value; None without batch norm."""
    shift: torch.Tensor | None = None


@dataclass
class Recording:
    """A `Recording` says what to keep of a run besides its output, and receives it."""

    relu: Callable[[Relu], None] | None = None
    """Called for the ReLUs of each node before they run."""
    apart: bool = False
    """No two cells share a value, and everything from the stem's convolution on is recorded for differentiation."""
    blocks: list[Values] = field(default_factory=list)
    """Filled with what the stem and every block put out."""
    runs: list[LayerRun] = field(default_factory=list)
    """Filled, if `apart`, with a `LayerRun` for every layer that has weights."""


class CellOutputs(NamedTuple):
    """`CellOutputs` holds what K cells put out for B images."""

    logits: torch.Tensor
    """[K, B, classes]"""
    pooled: torch.Tensor
    """[K, B, C]"""
    features: tuple[Values, ...]
    """At the end of each stage; the last one after its batch norm and ReLU."""
