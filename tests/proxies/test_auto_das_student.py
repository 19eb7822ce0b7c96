"""Auto-DAS's student part, against the original network's gradients on a whole batch of ones."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from images.base import Batch
from probe.network import Probe
from proxies.auto_das_student import AutoDASStudent
from proxies.base import NotApplicable
from proxies.module import score_module
from proxies.testing import DEGENERATE, ORDINARY, SKELETON, check_proxy, make_batch
from spaces.draw import Draw
from spaces.nb201.cell import Cell, cells
from spaces.nb201.network import CellNetwork
from spaces.nb201.xautodl_backbone import XautodlNetwork

EMPTY, IDENTITY, CUT = DEGENERATE
DEAD = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
SAMPLE = [*ORDINARY, IDENTITY, CUT, DEAD, *(str(cells()[index]) for index in (777, 9999, 15000))]


def score(cell: str, count: int = 6) -> float:
    proxy, batch = AutoDASStudent(), make_batch(count)
    network = CellNetwork(Cell.parse(cell), SKELETON, Draw(0, momentum=0.0), proxy.sees).double()
    given = Batch(batch.images.double(), batch.labels, "")
    probe = Probe(network.cell, SKELETON, lambda: network, lambda: given, proxy.needs)
    return proxy.score(probe, probe)


@pytest.mark.slow
@pytest.mark.parametrize("cell", SAMPLE)
def test_it_is_that_of_the_original_networks_gradients_on_a_batch_of_ones(cell: str) -> None:
    pytest.importorskip("xautodl.models.cell_infers.tiny_network", reason="xautodl is not installed")
    network = XautodlNetwork(Cell.parse(cell), SKELETON, Draw(0, momentum=0.0)).inner.double()
    network(torch.ones(6, 3, SKELETON.size, SKELETON.size, dtype=torch.float64))[1].sum().backward()
    gradients = [one.weight.grad.flatten().tolist() for one in network.modules() if isinstance(one, nn.Conv2d)]
    largest, expected = max(abs(entry) for each in gradients for entry in each), 0.0
    for each in gradients:
        if largest > 0:
            values = [abs(entry) if abs(entry) / largest > 1e-10 else 1.0 for entry in each]
        else:
            values = [1.0] * len(each)
        mean = sum(1 / (1 + math.exp(-math.log(value))) for value in values) / len(values)
        expected += 1 / (mean + 1e-9)
    assert score(cell) == pytest.approx(expected, rel=1e-6)


def test_a_dead_convolution_adds_two() -> None:
    alive = "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
    assert score(DEAD) == pytest.approx(score(alive) + 3 * 2, rel=1e-8)  # three blocks


def test_the_size_of_the_batch_is_a_factor_on_gradients() -> None:
    assert score(ORDINARY[1], 12) < score(ORDINARY[1], 6)


def test_without_convolutions_there_is_no_score() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 5))
    with pytest.raises(NotApplicable, match="has none"):
        score_module(AutoDASStudent(), network, make_batch(6))


@pytest.mark.slow
def test_the_contract_is_kept() -> None:
    check_proxy(AutoDASStudent)
