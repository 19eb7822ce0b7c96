"""The floor's counts against what a network's modules really put out; rates and shares are measured, never asserted."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn

from bench.measure.lower_bound import Work, count_values, rates, work
from bench.measure.shares import shares
from spaces.draw import Draw
from spaces.nb201.cell import KERNEL, Cell, cell_at
from spaces.nb201.network import CellBlock, CellNetwork, ReductionBlock
from spaces.nb201.skeleton import CellSkeleton

SMALL = CellSkeleton(channels=4, cells_per_stage=2, size=8, classes=10)


def values_put_out(cell: Cell, skeleton: CellSkeleton) -> int:
    """By hooks on a network that runs live operations alone: every convolution, block, and batch norm that is a map of
    its own; inner nodes of a cell by hand."""
    network = CellNetwork(cell, skeleton, Draw(0))
    count = 0

    def add(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        nonlocal count
        count += output.numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d | CellBlock | ReductionBlock):
            module.register_forward_hook(add)
        if isinstance(module, ReductionBlock):  # the batch norm between its convolutions
            module.conv_a.op["2"].register_forward_hook(add)
    network.stem[1].register_forward_hook(add)
    network.lastact[0].register_forward_hook(add)
    network(torch.zeros(1, 3, skeleton.size, skeleton.size))
    inner = {edge.target for edge in cell.live_edges()} - {3}
    return count + sum(
        len(inner) * block.channels_out * block.size**2 for block in skeleton.blocks() if not block.is_reduction
    )


@pytest.mark.parametrize("index", random.Random(0).sample(range(15625), 20))
def test_maps_are_those_of_the_network(index: int) -> None:
    cell = cell_at(index)
    if not cell.live_edges():
        pytest.skip("of a cell that puts out nothing the network makes zeros")
    assert work(cell, SMALL, 2).bytes == 2 * 4 * 2 * values_put_out(cell, SMALL)


def test_dead_operations_are_no_work() -> None:
    live = Cell.parse("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|")
    dead = Cell.parse("|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|none~0|skip_connect~1|none~2|")
    assert work(live, SMALL, 3) == work(dead, SMALL, 3)
    assert work(live, SMALL, 3).multiply_adds == 3 * SMALL.count_multiply_adds(live)


def test_derivatives_triple_the_arithmetic() -> None:
    cell = cell_at(1649)
    forward, both = work(cell, SMALL, 2), work(cell, SMALL, 2, backward=True)
    assert both == Work(3 * forward.multiply_adds, 2.5 * forward.bytes)
    assert Work(6, 8).seconds(Work(3, 2)) == Work(2, 4)


def test_an_operation_more_is_more_maps() -> None:
    none = Cell.parse("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    conv = Cell.parse("|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|")
    assert KERNEL[conv.operations[3]] == 1
    maps = sum(block.channels_out * block.size**2 for block in SMALL.blocks() if not block.is_reduction)
    assert count_values(conv, SMALL) - count_values(none, SMALL) == maps


@pytest.mark.slow
def test_rates_and_shares_are_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.measure.lower_bound.SECONDS", 0.01)
    assert min(rates("cpu", 1)) > 1e6
    network = CellNetwork(
        Cell.parse("|avg_pool_3x3~0|+|nor_conv_3x3~0|none~1|+|none~0|skip_connect~1|skip_connect~2|"),
        SMALL,
        Draw(0),
    )
    found = shares(lambda: network(torch.zeros(2, 3, 8, 8)), "cpu")
    assert sum(found.values()) == pytest.approx(1, abs=0.01)
    assert min(found["convolutions"], found["pools"], found["batch norms"], found["ReLUs"], found["sums"]) > 0
