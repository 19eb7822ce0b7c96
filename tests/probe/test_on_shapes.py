"""Large images are looked at by their shapes alone: what does not run on images is no network there either."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from common.errors import BadInput
from images.base import Batch
from probe.module.examples import CLASSES
from proxies import registry
from proxies.base import NotApplicable
from proxies.module import score_module

SMALL, LARGE = 16, 65
"""Images of 65 pixels a side are looked at by their shapes."""


def batch(side: int) -> Batch:
    images = torch.randn(6, 3, side, side, generator=torch.Generator().manual_seed(0))
    return Batch(images, torch.arange(6) % CLASSES, "")


class Net(nn.Module):
    """A convolution, something of a test's own, and a classifier."""

    def __init__(self, between: Callable[[Net, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, CLASSES)
        self.scale = nn.Parameter(torch.full((8, 1, 1), 0.5))
        self.register_buffer("flag", torch.tensor(False))
        self.register_buffer("count", torch.tensor(0))
        self.between = between

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.between(self, self.conv(x)).mean((2, 3)))


def parts(_: Net, x: torch.Tensor) -> torch.Tensor:
    one, two = x.chunk(2, 1)
    return torch.cat([one.relu_(), two], 1)


@pytest.mark.parametrize("side", [SMALL, LARGE])
@pytest.mark.parametrize(
    "between",
    [
        parts,
        lambda net, x: F.relu(x) + net.scale.relu_(),
        lambda net, x: F.relu(x) * net.flag.add_(1),
        lambda net, x: F.relu(x) * net.count.add_(2**70),
    ],
    ids=["a part in place", "a parameter in place", "a flag counted", "a number too large"],
)
@pytest.mark.parametrize("proxy", ["snip", "l2_norm", "flops"])
def test_what_pytorch_refuses_is_refused(proxy: str, between: Callable[..., torch.Tensor], side: int) -> None:
    with pytest.raises(BadInput, match="does not run on images"):
        score_module(registry.create(proxy), Net(between), batch(side))
    assert gc.isenabled()


@pytest.mark.parametrize("proxy", ["snip", "nwot"])
def test_a_version_that_is_asked_for_counts_what_is_written(proxy: str) -> None:
    def bent(_: Net, x: torch.Tensor) -> torch.Tensor:
        before = x._version
        x.relu_()
        return x if x._version > before else x.tanh()

    expected = score_module(registry.create(proxy), Net(lambda _, x: F.relu(x)), batch(LARGE))
    assert score_module(registry.create(proxy), Net(bent), batch(LARGE)).value == pytest.approx(
        expected.value, rel=1e-6
    )


@pytest.mark.slow
def test_a_loop_over_images_is_not_run_for_the_many_that_mark_their_dimension() -> None:
    runs = 0

    def looped(_: Net, x: torch.Tensor) -> torch.Tensor:
        nonlocal runs
        parts = []
        for image in x.split(1):
            runs += 1
            parts.append(F.relu(image))
        return torch.cat(parts)

    network = Net(looped)
    network.fc = nn.Linear(8, 2000)
    with pytest.raises(NotApplicable, match="loops over"):
        score_module(registry.create("snip"), network, batch(LARGE))
    assert runs < 200


def test_a_weight_made_of_a_single_number_has_a_gradient() -> None:
    def scaled(net: Net, x: torch.Tensor) -> torch.Tensor:
        return F.relu(F.conv2d(x, net.share.expand(8, 8, 1, 1)))  # type: ignore[arg-type,operator]

    network = Net(scaled)
    network.share = nn.Parameter(torch.tensor(0.5))
    given = batch(SMALL)
    weights = [network.conv.weight, network.share, network.fc.weight]
    found = torch.autograd.grad(F.cross_entropy(network(given.images), given.labels), weights)
    expected = sum((one * of).abs().sum().item() for one, of in zip(weights, found, strict=True))
    assert score_module(registry.create("snip"), network, given).value == pytest.approx(expected, rel=1e-5)


def test_the_reason_of_a_backward_hook_is_the_hook() -> None:
    network = Net(lambda _, x: F.relu(x))
    network.conv.register_full_backward_hook(lambda *_: None)
    with pytest.raises(NotApplicable, match="backward hooks"):
        score_module(registry.create("nwot"), network, batch(SMALL))


@pytest.mark.parametrize("side", [SMALL, LARGE])
def test_a_network_that_does_not_run_in_evaluation_has_no_multiply_adds(side: int) -> None:
    def only_in_training(net: Net, x: torch.Tensor) -> torch.Tensor:
        if not net.training:
            raise ValueError("only in training")
        return F.relu(x)

    network = Net(only_in_training)
    with pytest.raises(NotApplicable, match="does not run in evaluation: ValueError: only in training"):
        score_module(registry.create("flops"), network, batch(side))
    assert score_module(registry.create("snip"), network, batch(side)).value > 0
