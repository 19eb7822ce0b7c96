"""Our rules of forward mode give PyTorch's own tangents, whatever has one and whatever is constant."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
import torch.autograd.forward_ad as forward
import torch.nn.functional as F
from torch import nn

from distill.process.forward_mode import Rules

pytestmark = pytest.mark.slow

DRAW = torch.Generator().manual_seed(3)


def drawn(*shape: int) -> torch.Tensor:
    return 1.5 + torch.randn(shape, generator=DRAW, dtype=torch.float64)


MAPS, KERNEL, SCALE, SHIFT, BIAS = drawn(5, 4, 6, 6), drawn(3, 4, 3, 3), drawn(4), drawn(4), drawn(3)
CASES: dict[str, tuple[Callable[..., torch.Tensor], list[torch.Tensor]]] = {
    "convolution": (lambda x, w: F.conv2d(x, w, stride=2, padding=1), [MAPS, KERNEL]),
    "convolution with a bias": (lambda x, w: F.conv2d(x, w, BIAS), [MAPS, KERNEL]),
    "batch norm": (lambda x, g, b: F.batch_norm(x, None, None, g, b, True, 0.1, 1e-5), [MAPS, SCALE, SHIFT]),
    "batch norm in evaluation": (
        lambda x, g, b: F.batch_norm(x, SHIFT, SCALE.square(), g, b),
        [MAPS, SCALE, SHIFT],
    ),
    "mse": (F.mse_loss, [MAPS, drawn(5, 4, 6, 6)]),
    "sum of squares": (lambda x, y: F.mse_loss(x, y, reduction="sum"), [MAPS, drawn(5, 4, 6, 6)]),
    "scaled": (lambda x, y: 0.25 * x / 3 + x * y / y, [MAPS, drawn(5, 4, 6, 6)]),
}


def along(function: Callable[..., torch.Tensor], values: list[torch.Tensor], moves: tuple[bool, ...]) -> Any:
    generator = torch.Generator().manual_seed(4)
    with forward.dual_level():
        tangents = [torch.randn(value.shape, generator=generator, dtype=value.dtype) for value in values]
        duals = [
            forward.make_dual(value, tangent) if moving else value
            for value, tangent, moving in zip(values, tangents, moves, strict=True)
        ]
        return forward.unpack_dual(function(*duals))


@pytest.mark.parametrize("name", CASES)
def test_tangents_are_those_of_pytorch_whatever_is_constant(name: str) -> None:
    function, values = CASES[name]
    for moves in product([False, True], repeat=len(values)):
        with torch.no_grad():
            expected = along(function, values, moves)
            with Rules():
                found = along(function, values, moves)
        torch.testing.assert_close(found.primal, expected.primal, rtol=1e-12, atol=1e-13)
        assert (found.tangent is None) == (not any(moves))
        if any(moves):
            torch.testing.assert_close(found.tangent, expected.tangent, rtol=1e-10, atol=1e-12)


def test_batch_statistics_are_left_alone_and_nothing_stays_behind() -> None:
    layer = nn.BatchNorm2d(4).double().train()
    before = {name: value.clone() for name, value in layer.state_dict().items() if "running" in name}
    with torch.no_grad(), forward.dual_level(), Rules():
        layer(forward.make_dual(MAPS, torch.ones_like(MAPS)))
    assert all(torch.equal(layer.state_dict()[name], value) for name, value in before.items())
    layer(MAPS)
    assert not torch.equal(layer.running_mean, before["running_mean"])
