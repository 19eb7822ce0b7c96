"""A score is that of network and images, whatever was asked for around it, and whatever made them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import torch
from torch import nn

from common.errors import BadInput
from images.base import Batch
from probe.module.examples import CLASSES, SIZE, example
from proxies import registry
from proxies.module import ModuleScore, score_modules

READERS = registry.create_all("nwot,swap,snip,near,kd,synflow,az_trainability")
AROUND: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "meta device": lambda: torch.device("meta"),
}


def batch() -> Batch:
    images = torch.randn(6, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    return Batch(images, torch.arange(6) % CLASSES, "")


def scores(network: nn.Module, teacher: nn.Module, given: Batch) -> dict[str, object]:
    return dict(score_modules(READERS, network, given, teacher=teacher))


@pytest.fixture(scope="module")
def expected() -> dict[str, object]:
    found = scores(example("ResNet"), example("ResNet", seed=1), batch())
    assert all(isinstance(one, ModuleScore) for one in found.values())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", AROUND)
def test_what_is_asked_for_around_a_score_changes_no_bit_of_it(name: str, expected: dict[str, object]) -> None:
    network, teacher, given = example("ResNet"), example("ResNet", seed=1), batch()
    with AROUND[name]():
        before = torch.is_autocast_enabled("cpu"), torch.is_inference_mode_enabled(), torch.get_default_device()
        assert scores(network, teacher, given) == expected
        after = torch.is_autocast_enabled("cpu"), torch.is_inference_mode_enabled(), torch.get_default_device()
    assert after == before


@pytest.mark.slow
def test_a_default_type_changes_no_bit_of_a_score_and_is_put_back(expected: dict[str, object]) -> None:
    network, teacher, given = example("ResNet"), example("ResNet", seed=1), batch()
    torch.set_default_dtype(torch.float64)
    try:
        assert scores(network, teacher, given) == expected
        assert torch.get_default_dtype() is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


class Scaled(nn.Module):
    """Makes a tensor of no type of its own while it runs, and multiplies by it."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Linear(3, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(x.mean((2, 3)) @ torch.eye(3))


def test_a_network_that_relies_on_a_default_type_runs_with_it() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        found = score_modules(registry.create_all("snip"), Scaled(), batch())
        assert isinstance(found["snip"], ModuleScore)
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_failure_puts_back_what_was_asked_for() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(BadInput, match="images of type str"):
            scores(example("ResNet"), example("ResNet"), Batch("birds", None, ""))  # type: ignore[arg-type]
        assert torch.get_default_dtype() is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.slow
def test_what_was_made_in_inference_mode_is_scored_as_what_was_not(expected: dict[str, object]) -> None:
    with torch.inference_mode():
        network, teacher, given = example("ResNet"), example("ResNet", seed=1), batch()
        given = Batch(given.images.clone(), given.labels.clone(), "")
    assert next(network.parameters()).is_inference()
    assert scores(network, teacher, given) == expected
