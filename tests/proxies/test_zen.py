"""Zen equals what the original network's own running statistics give, and adds up batch norms in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from images.base import Batch
from images.noise import noise
from probe.network import Probe
from probe.views import views
from proxies import registry
from proxies.testing import DEGENERATE, ORDINARY, SKELETON, make_batch, make_noise
from spaces.draw import Draw
from spaces.nb201.cell import Cell, cells
from spaces.nb201.network import CellNetwork
from spaces.nb201.xautodl_backbone import XautodlNetwork

IMAGES = 6
EMPTY, IDENTITY, CUT = DEGENERATE
DEAD = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
"""Live is only the last node's convolution; of the two others each feeds a node that leads nowhere."""
STARVED = "|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|none~1|avg_pool_3x3~2|"
"""The 3x3 convolution is executed on zeros, and what it puts out reaches the output."""
FED = STARVED.replace("nor_conv_3x3", "none")


def placed(batch: Batch) -> Batch:
    return Batch(batch.images.double(), batch.labels, batch.hash)


def score(cell: str, init: str = "gaussian") -> float:
    """Zen of a float64 network."""
    proxy = registry.create(f"zen:init={init}")
    parsed = Cell.parse(cell)
    network = CellNetwork(parsed, SKELETON, Draw(0, init, momentum=0.0), proxy.sees).double()
    further = views(
        SKELETON, IMAGES, lambda: make_batch(IMAGES), lambda *named: placed(make_noise(*named)), lambda _: network
    )
    probe = Probe(parsed, SKELETON, lambda: network, lambda: make_batch(IMAGES), proxy.needs, further)
    return proxy.score(probe, probe)


@pytest.mark.slow
@pytest.mark.parametrize("init", ["gaussian", "default"])
@pytest.mark.parametrize("cell", [*ORDINARY, IDENTITY, DEAD, STARVED, str(cells()[4321])])
def test_zen_reads_the_running_variances_that_torch_keeps(cell: str, init: str) -> None:
    pytest.importorskip("xautodl.models.cell_infers.tiny_network", reason="xautodl is not installed")
    network = XautodlNetwork(Cell.parse(cell), SKELETON, Draw(0, init, momentum=0.1)).inner.double()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(norm.training and norm.momentum == 0.1 and (norm.running_var == 1).all() for norm in norms)
    maps: list[torch.Tensor] = []
    network.global_pooling.register_forward_pre_hook(lambda _, inputs: maps.append(inputs[0].clone()))
    images = noise("noise", 0, IMAGES, SKELETON.size, SKELETON.classes).images.double()
    neighbours = torch.stack([images[(n + 1) % IMAGES] for n in range(IMAGES)])
    network(images)
    network(images + 0.01 * neighbours)
    distances = [(maps[0][n] - maps[1][n]).abs().sum().item() for n in range(IMAGES)]
    expected = math.log(sum(distances) / IMAGES)
    expected += sum(math.log(math.sqrt(norm.running_var.mean().item())) for norm in norms)
    assert score(cell, init) == pytest.approx(expected, rel=1e-9)


def test_a_batch_norm_of_zeros_adds_the_logarithm_of_nine_tenths() -> None:
    """r = .81 in each of the three cells: dead weight is counted, and lowers the score."""
    assert Cell.parse(FED) != Cell.parse(STARVED)
    assert score(STARVED) - score(FED) == pytest.approx(3 * math.log(0.9), rel=1e-9)


@pytest.mark.parametrize("cell", [EMPTY, CUT])
def test_zen_is_minus_infinity_where_the_output_does_not_depend_on_the_input(cell: str) -> None:
    assert score(cell) == -math.inf
