"""Closed-form counts equal what the built networks hold and compute, and what is published for the space."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn

from spaces.draw import Draw
from spaces.nb201.cell import CONV1, CONV3, NONE, POOL, SKIP, Cell, cells
from spaces.nb201.network import CellNetwork
from spaces.nb201.skeleton import CellSkeleton, count_multiply_adds, count_parameters

BENCHMARK = CellSkeleton(channels=16, cells_per_stage=5, classes=10, size=32)
SAMPLE = [*random.Random(0).sample(cells(), 12), Cell((NONE,) * 6), Cell((CONV3,) * 6), Cell((NONE, CONV1) * 3)]
SKELETONS = [CellSkeleton(4, 1, 10, 8), CellSkeleton(3, 2, 7, 16), CellSkeleton(2, 1, 100, 12)]


def observed_multiply_adds(network: nn.Module, size: int) -> int:
    """Multiply-adds of every convolution and linear layer that runs on one image."""
    total = 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(module, nn.Conv2d | nn.Linear)
        total += output.numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    network(torch.zeros(1, 3, size, size))
    return total


@pytest.mark.slow
@pytest.mark.parametrize("skeleton", SKELETONS, ids=str)
def test_counts_equal_those_of_the_network(skeleton: CellSkeleton) -> None:
    for cell in SAMPLE:
        network = CellNetwork(cell, skeleton, Draw(seed=0), sees="executed")
        assert count_parameters(cell, skeleton) == sum(p.numel() for p in network.parameters()), str(cell)
        assert count_multiply_adds(cell, skeleton) == observed_multiply_adds(network, skeleton.size), str(cell)


@pytest.mark.slow
def test_parameters_are_the_published_ones() -> None:
    """NAS-Bench-201's size of a cell: 0.073306 M, 0.028 M for each 1x1 and 0.24304 M for each 3x3 convolution."""
    for cell in cells():
        ones, threes = (cell.operations.count(operation) for operation in (CONV1, CONV3))
        assert count_parameters(cell, BENCHMARK) == 73306 + 28000 * ones + 243040 * threes


@pytest.mark.slow
def test_multiply_adds_are_the_published_ones() -> None:
    """7.78 M, 3.93216 M for each 1x1 and 35.38944 M for each 3x3 convolution."""
    empty = count_multiply_adds(Cell((NONE,) * 6), BENCHMARK)
    assert empty == 7783040
    for cell in cells():
        ones, threes = (cell.operations.count(operation) for operation in (CONV1, CONV3))
        assert count_multiply_adds(cell, BENCHMARK) == empty + 3932160 * ones + 35389440 * threes


@pytest.mark.parametrize("free", [SKIP, POOL])
def test_skips_and_pools_count_nothing(free: int) -> None:
    for count in (count_parameters, count_multiply_adds):
        assert count(Cell((free,) * 6), BENCHMARK) == count(Cell((NONE,) * 6), BENCHMARK)


def test_blocks_halve_the_map_and_double_the_channels_twice() -> None:
    blocks = list(CellSkeleton(16, 2, 10, 32).blocks())
    assert [block.name for block in blocks] == [f"cells.{number}" for number in range(8)]
    assert [block.is_reduction for block in blocks] == [False, False, True, False, False, True, False, False]
    assert [block.channels_in for block in blocks] == [16, 16, 16, 32, 32, 32, 64, 64]
    assert [block.channels_out for block in blocks] == [16, 16, 32, 32, 32, 64, 64, 64]
    assert [block.size for block in blocks] == [32, 32, 16, 16, 16, 8, 8, 8]


@pytest.mark.parametrize("skeleton", SKELETONS, ids=str)
def test_width_is_the_length_of_the_pooled_features(skeleton: CellSkeleton) -> None:
    network = CellNetwork(SAMPLE[0], skeleton, Draw(seed=0))
    assert network(torch.zeros(2, 3, skeleton.size, skeleton.size)).pooled.shape == (2, skeleton.width)
