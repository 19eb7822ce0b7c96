"""Every pass starts from what was handed in, whatever a network writes into: its images, its weights, what it holds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from images.base import Batch
from probe.module.examples import CLASSES, SIZE
from probe.module.probe import module_probe
from proxies import registry
from proxies.module import score_modules

EVERY = registry.create_all("all")


def batch() -> Batch:
    images = torch.randn(6, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    return Batch(images, torch.arange(6) % CLASSES, "")


class Small(nn.Module):
    """A network that does something to its images, or to itself, before it runs."""

    def __init__(self, first: Callable[[Small, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.conv, self.norm = first, nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6)
        self.blocks = nn.ModuleList([nn.Conv2d(6, 6, 3, padding=1)])
        self.fc = nn.Linear(6, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm(self.conv(self.first(self, x))))
        return self.fc(F.relu(self.blocks[0](x)).mean((2, 3)))


# images


@pytest.mark.slow
@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        (lambda _, x: x.sub_(0.5).div_(0.25), lambda _, x: x.sub(0.5).div(0.25)),
        (lambda _, x: x.clamp_(min=0), lambda _, x: x.clamp(min=0)),
        (lambda _, x: F.relu(x, inplace=True), lambda _, x: F.relu(x)),
        (lambda _, x: x.copy_(x.flip(3)), lambda _, x: x.flip(3)),
    ],
    ids=["normalised", "clamped", "relu", "flipped"],
)
def test_a_network_that_writes_into_its_images_scores_as_one_that_does_not(
    inside: Callable[[Small, torch.Tensor], torch.Tensor], outside: Callable[[Small, torch.Tensor], torch.Tensor]
) -> None:
    given = batch()
    expected = score_modules(EVERY, Small(outside), given, teacher=Small(outside))
    found = score_modules(EVERY, Small(inside), given, teacher=Small(inside))
    assert given.images.equal(batch().images)
    for label, one in expected.items():
        assert str(found[label]) == str(one), label


# weights


def renormed(network: Small, x: torch.Tensor) -> torch.Tensor:
    network.fc.weight.data = torch.renorm(network.fc.weight.data, 2, 0, 0.05)
    return x


def halved(network: Small, x: torch.Tensor) -> torch.Tensor:
    network.conv.weight.data = network.conv.weight.data / 2
    return x


def divided(network: Small, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        network.conv.weight.div_(2)
    return x


def put_out(network: Small, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        torch.mul(network.conv.weight, 0.5, out=network.conv.weight)
    return x


@pytest.mark.slow
@pytest.mark.parametrize("first", [renormed, halved, divided, put_out])
def test_every_pass_starts_from_the_weights_that_were_handed_in(
    first: Callable[[Small, torch.Tensor], torch.Tensor],
) -> None:
    names = "l2_norm,snip,near,flops,synflow,grasp,gradsign,vkdnw,zen"
    network = Small(first)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    readers = registry.create_all(names)
    alone = {one.label: str(score_modules([one], network, batch())[one.label]) for one in readers}
    for order in (readers, readers[::-1]):
        assert {label: str(one) for label, one in score_modules(order, network, batch()).items()} == alone
    (norm,) = score_modules(registry.create_all("l2_norm"), Small(lambda _, x: x), batch()).values()
    assert alone["l2_norm"] == str(norm)
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())


@pytest.mark.slow
def test_gradients_are_those_at_the_weights_that_were_written() -> None:
    written, network = Small(halved), Small(lambda _, x: x)
    network.conv.weight.data /= 2
    expected = module_probe(network, batch(), ("gradients",)).gradients
    found = module_probe(written, batch(), ("gradients",)).gradients
    assert all(found[name].equal(one) for name, one in expected.items())
