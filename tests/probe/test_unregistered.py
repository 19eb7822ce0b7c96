"""A parameter that a network reads and does not register would be half counted, so it is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from common.errors import BadInput
from images.base import Batch
from probe.module.examples import CLASSES, SIZE
from proxies import registry
from proxies.module import ModuleScore, score_modules

READERS = registry.create_all("params,flops,snip")


def batch() -> Batch:
    images = torch.randn(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    return Batch(images, torch.arange(4), "")


class Holds(nn.Module):
    """A network that holds something besides, and does something with it."""

    def __init__(self, held: object, then: Callable[[object, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 6, 3), nn.Linear(6, CLASSES)
        self.held, self.then = held, then

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.then(self.held, F.relu(self.conv(x))).mean((2, 3)))


@pytest.mark.parametrize(
    ("held", "then"),
    [
        ([nn.Conv2d(6, 6, 1)], lambda held, x: held[0](x)),
        ({"scale": nn.Parameter(torch.ones(6, 1, 1))}, lambda held, x: held["scale"] * x),
        ([nn.Parameter(torch.ones(6, 1, 1), False)], lambda held, x: held[0] * x),
        (None, lambda _, x: nn.Conv2d(6, 6, 1)(x)),
        (torch.ones(6, 6, 1, 1, requires_grad=True), lambda held, x: F.conv2d(x, held)),
        ([torch.ones(6, 6, requires_grad=True)], lambda held, x: F.conv2d(x, held[0].t()[..., None, None])),
    ],
    ids=["list", "dictionary", "frozen", "made in forward", "leaf", "leaf, looked at in another way"],
)
def test_a_parameter_that_is_not_registered_is_refused(held: object, then: Callable[..., torch.Tensor]) -> None:
    for reader in READERS[1:]:
        with pytest.raises(BadInput, match=r"Holds reads a parameter \[6.*\] that is not registered.*nn\.ModuleList"):
            score_modules([reader], Holds(held, then), batch())


@pytest.mark.parametrize(
    ("held", "then"),
    [
        ([torch.ones(6, 1, 1)], lambda held, x: held[0] * x),
        (torch.eye(6)[..., None, None], lambda held, x: F.conv2d(x, held)),
        (nn.ModuleList([nn.Conv2d(6, 6, 1)]), lambda held, x: held[0](x)),
        (None, lambda _, x: x.detach().requires_grad_() * 2),
    ],
    ids=["tensor", "matrix", "registered", "made of the images"],
)
def test_constants_and_what_is_registered_may_be_read(held: object, then: Callable[..., torch.Tensor]) -> None:
    found = score_modules(READERS, Holds(held, then), batch())
    assert all(isinstance(one, ModuleScore) for one in found.values())
