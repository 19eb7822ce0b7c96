"""Counts the multiply-adds of whatever a network calls."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Never

import torch
from torch.utils.flop_counter import FlopCounterMode

from probe.needs import NotApplicable


class Counter(FlopCounterMode):
    """Counts operations of convolutions and matrix products, those with vectors too, which its parent leaves out.

    Attention that is one kernel is not seen: have it done by its products. A product that is neither raises
    NotApplicable.
    """

    def __init__(self) -> None:
        super().__init__(display=False, custom_mapping=_PRODUCTS)

    @property
    def multiply_adds(self) -> int:
        """How many were done: a multiply-add is two operations."""
        return int(self.get_total_flops()) // 2


def _matrix_vector(matrix: Sequence[int], *_: Any, **__: Any) -> int:
    return 2 * matrix[0] * matrix[1]


def _vectors(vector: Sequence[int], *_: Any, **__: Any) -> int:
    return 2 * vector[0]


def _lstm(tokens: Sequence[int], of_inputs: Sequence[int], of_outputs: Sequence[int], *_: Any, **__: Any) -> int:
    """All tokens, [T, B, D], times the weights that read them and those that read the last output."""
    return 2 * tokens[0] * tokens[1] * (math.prod(of_inputs) + math.prod(of_outputs))


def _bilinear(*_: Any, **__: Any) -> Never:
    raise NotApplicable("the network calls a bilinear layer, which is neither a convolution nor a matrix product")


_PRODUCTS: dict[Any, Callable[..., int]] = {
    torch.ops.aten.mv: _matrix_vector,
    torch.ops.aten.addmv: lambda _, *shapes, **options: _matrix_vector(*shapes, **options),
    torch.ops.aten.dot: _vectors,
    torch.ops.aten.vdot: _vectors,
    torch.ops.aten.mkldnn_rnn_layer: _lstm,
    torch.ops.aten._trilinear: _bilinear,
}
