"""Norms and activations made by hand are refused alike, however they are spelled, and arithmetic is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from images.base import Batch
from probe.module.examples import CLASSES, SIZE
from proxies import registry
from proxies.base import NotApplicable
from proxies.module import score_module

pytestmark = pytest.mark.slow

Function = Callable[[torch.Tensor], torch.Tensor]


class Small(nn.Module):
    """Two convolutions, and something behind each."""

    def __init__(self, behind: Function) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 4, 3, 2), nn.Conv2d(4, 6, 3)
        self.classifier, self.behind = nn.Linear(6, CLASSES), behind

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.behind(self.second(self.behind(self.first(x)))).mean((2, 3)))


def outcome(name: str, behind: Function) -> str:
    """Why there is no score, or `a number`."""
    images = torch.randn(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    try:
        score_module(registry.create(name), Small(behind), Batch(images, torch.arange(3), ""))
    except NotApplicable as reason:
        return str(reason)
    return "a number"


def squares(x: torch.Tensor) -> torch.Tensor:
    return (x * x).mean(1, keepdim=True) + 1e-5


def positive(x: torch.Tensor) -> torch.Tensor:
    """The sum over pixels of what a rectifier leaves: the L1 norm of that."""
    return F.relu(x).sum((2, 3), keepdim=True) + 1e-5


NORMS: dict[str, Function] = {
    "sqrt": lambda x: F.relu(x / squares(x).sqrt()),
    "power": lambda x: F.relu(x / squares(x) ** 0.5),
    "pow": lambda x: F.relu(x * ((x - x.mean(1, keepdim=True)).pow(2).mean(1, keepdim=True) + 1e-5).pow(-0.5)),
    "float_power": lambda x: F.relu(x * (x.square().mean(1, keepdim=True) + 1e-5).float_power(-0.5).float()),
    "exp of log": lambda x: F.relu(x * (-0.5 * squares(x).log()).exp()),
    "einsum": lambda x: F.relu(x * (torch.einsum("bchw,bchw->bhw", x, x)[:, None] + 1).rsqrt()),
    "flattened": lambda x: F.relu(x / ((x**2).flatten(1).sum(1)[:, None, None, None] + 1) ** 0.5),
    "amax": lambda x: F.relu(x) / (F.relu(x).amax((2, 3), keepdim=True) + 1e-5),
    "L1": lambda x: F.relu(x) / positive(x),
    "in place": lambda x: F.relu(x).div_(positive(x)),
    "one by": lambda x: F.relu(x) * (1 / positive(x)),
    "reciprocal": lambda x: F.relu(x) * positive(x).reciprocal(),
    "power of -1": lambda x: F.relu(x) * positive(x) ** -1,
}
ACTIVATIONS: dict[str, Function] = {
    "absolute": lambda x: (x + (x * x) ** 0.5) / 2,
    "power": lambda x: x / (1 + x * x) ** 0.5,
    "sqrt": lambda x: x / torch.sqrt(1 + x * x),
    "rsqrt": lambda x: x * torch.rsqrt(1 + x * x),
    "square": lambda x: x * x,
    "cube": lambda x: x**3,
    "square of a rectifier": lambda x: F.relu(x).square(),
    "exponential": lambda x: 0.5**x,
    "quotient": lambda x: F.relu(x) / (1 + F.relu(x)),
    "one by": lambda x: 1 / (1 + F.relu(x)),
    "fmod": lambda x: torch.fmod(x, 1.0),
    "remainder": lambda x: x % 1.0,
    "energy": lambda x: x + (x * x).mean((2, 3), keepdim=True),
    "pooled power": lambda x: F.lp_pool2d(F.relu(x) + 0.1, 2, 1),
}
ARITHMETIC: dict[str, Function] = {
    "constant": lambda x: F.relu(x) / 3,
    "tensor": lambda x: F.relu(x) / torch.tensor(3.0),
    "power of one": lambda x: F.relu(x) ** 1,
    "power of a constant": lambda x: F.relu(x) * torch.tensor(2.0) ** 0.5,
    "count": lambda x: F.relu(x) / (1 + torch.zeros_like(x, dtype=torch.int64).sum()),
    "gate": lambda x: F.relu(x) * x.mean((2, 3), keepdim=True),
    "centred": lambda x: F.relu(x - x.mean((2, 3), keepdim=True)),
}


@pytest.mark.parametrize("name", NORMS)
def test_a_norm_made_by_hand_is_refused_by_what_has_no_term_for_it(name: str) -> None:
    for proxy in ("near", "synflow", "zen"):
        assert "a norm made by hand" in outcome(proxy, NORMS[name]), proxy
    assert outcome("nwot", NORMS[name]) == "a number"  # rectifiers are behind it, or divided by what is positive


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_made_by_hand_is_no_rectifier(name: str) -> None:
    for proxy in ("near", "synflow"):
        assert "an activation made by hand" in outcome(proxy, ACTIVATIONS[name]), proxy
    assert "bends elsewhere too" in outcome("nwot", ACTIVATIONS[name])
    assert outcome("zen", ACTIVATIONS[name]) == outcome("zen", F.gelu) == "a number"


@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic_is_neither(name: str) -> None:
    for proxy in ("near", "synflow", "zen", "nwot"):
        assert outcome(proxy, ARITHMETIC[name]) == "a number", proxy


def attention(x: torch.Tensor) -> torch.Tensor:
    """Over pixels, with softmax made by hand."""
    tokens = x.flatten(2)
    weights = (tokens.mT @ tokens / 2).exp()
    return (tokens @ (weights / weights.sum(1, keepdim=True))).view(x.shape)


def test_attention_made_by_hand_is_no_norm() -> None:
    assert outcome("zen", attention) == "a number"
    assert "(exp)" in outcome("near", attention)
    assert "bends elsewhere too: exp" in outcome("nwot", attention)
