"""Epsilon, against the original network with its weights filled in, module by module."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from common.errors import BadUsage
from images.base import Batch
from probe.module.examples import SIZE, example
from probe.network import Probe
from proxies import registry
from proxies.base import NotApplicable
from proxies.epsilon import Epsilon
from proxies.module import score_module
from proxies.testing import DEGENERATE, ORDINARY, SKELETON, check_proxy, make_batch
from spaces.draw import Draw
from spaces.nb201.cell import Cell, cells
from spaces.nb201.network import CellNetwork
from spaces.nb201.xautodl_backbone import XautodlNetwork

EMPTY, IDENTITY, CUT = DEGENERATE
SAMPLE = [*ORDINARY, IDENTITY, *(str(cells()[index]) for index in (777, 4321, 9999, 12345, 15000))]


def score(text: str, cell: str, seed: int = 0) -> float:
    proxy, batch = registry.create(text), make_batch(6)
    network = CellNetwork(Cell.parse(cell), SKELETON, Draw(seed, momentum=0.0), proxy.sees)
    probe = Probe(
        network.cell, SKELETON, lambda: network, lambda: Batch(batch.images.double(), batch.labels, ""), proxy.needs
    )
    return proxy.score(probe, probe)


def filled(cell: str, weight: float) -> np.ndarray:
    """The first output of every image, scaled; its least entries missing."""
    pytest.importorskip("xautodl.models.cell_infers.tiny_network", reason="xautodl is not installed")
    network = XautodlNetwork(Cell.parse(cell), SKELETON, Draw(0, momentum=0.0)).inner.double()
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            nn.init.constant_(module.weight, weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    with torch.no_grad():
        found = network(make_batch(6).images.double())[1][:, 0].numpy()
    scaled = (found - found.min()) / (found.max() - found.min())
    return np.where(scaled == 0, np.nan, scaled)


@pytest.mark.slow
@pytest.mark.parametrize(("low", "high"), [(1e-7, 1.0), (1e-3, 0.5)])
@pytest.mark.parametrize("cell", SAMPLE)
def test_epsilon_is_that_of_the_original_network_with_its_weights_filled_in(cell: str, low: float, high: float) -> None:
    u, v = filled(cell, low), filled(cell, high)
    expected = np.nanmean(np.abs(u - v)) / np.nanmean([u, v])
    assert score(f"epsilon:low={low}:high={high}", cell) == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
def test_no_draw_of_weights_has_a_part_in_it() -> None:
    assert score("epsilon", ORDINARY[1], 0) == score("epsilon", ORDINARY[1], 5)


def test_equal_constants_move_nothing() -> None:
    assert score("epsilon:low=0.5:high=0.5", ORDINARY[1]) == 0


@pytest.mark.parametrize("cell", [EMPTY, CUT])
def test_without_a_path_the_output_is_constant(cell: str) -> None:
    assert math.isnan(score("epsilon", cell))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "norm"), [("ConvNeXt", "layer_norm"), ("ViT", "layer_norm")])
def test_a_norm_over_channels_leaves_nothing_of_the_images(kind: str, norm: str) -> None:
    images = torch.randn(6, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    with pytest.raises(NotApplicable, match=rf"all channels are alike, and another norm \({norm}\)"):
        score_module(Epsilon(), example(kind), Batch(images, make_batch(6).labels, ""))


@pytest.mark.parametrize("text", ["low=0", "high=-1", "high=inf"])
def test_constants_are_positive(text: str) -> None:
    with pytest.raises(BadUsage, match="must be positive and finite"):
        registry.create(f"epsilon:{text}")


@pytest.mark.slow
def test_the_contract_is_kept() -> None:
    check_proxy(Epsilon)
