"""A call knows the number of its block, in networks of a space and in those of one's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from images.base import Batch
from probe.calls import LAYERS, Call
from probe.module.examples import example
from probe.module.probe import module_probe
from probe.network import Probe
from proxies.testing import ORDINARY, SKELETON, make_batch
from spaces.draw import Draw
from spaces.nb201.cell import Cell
from spaces.nb201.network import CellNetwork

pytestmark = pytest.mark.slow


def blocks_of_layers(probe: Probe) -> list[int | None]:
    """The number of the block of every convolution and linear layer, in the order in which they run."""
    found: list[int | None] = []

    def each(call: Call) -> Any:
        if call.kind in LAYERS:
            found.append(call.block)
        return call.run()

    with torch.no_grad():
        probe.run(probe.images, each)
    return found


def test_a_cells_layers_are_in_the_blocks_of_their_names() -> None:
    network = CellNetwork(Cell.parse(ORDINARY[0]), SKELETON, Draw(0, momentum=0.0), "executed")
    probe = Probe(network.cell, SKELETON, lambda: network, lambda: make_batch(4), ("forward", "weights"))
    names = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    # in front of the first block, the stem, counts with it; the classifier is behind the last
    expected = [0 if name.startswith("stem") else int(name.split(".")[1]) for name in names]
    assert sorted(blocks_of_layers(probe)) == sorted([*expected, len(network.cells)])
    assert not any(module._forward_hooks for module in network.modules())
    of_module = module_probe(network, make_batch(4), ("forward", "weights"))
    assert blocks_of_layers(of_module) == blocks_of_layers(probe)


def test_hooks_are_gone_where_a_call_fails() -> None:
    network = CellNetwork(Cell.parse(ORDINARY[0]), SKELETON, Draw(0, momentum=0.0), "executed")
    probe = Probe(network.cell, SKELETON, lambda: network, lambda: make_batch(4), ("forward", "weights"))

    def fail(_: Call) -> Any:
        raise RuntimeError("met")

    with pytest.raises(RuntimeError, match="met"):
        probe.run(probe.images, fail)
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize(("kind", "expected"), [("ResNet", [0, 0, 0, 0, 1, 1, 2]), ("VGG", [None] * 4)])
def test_blocks_of_ones_own_are_those_that_are_found(kind: str, expected: list[int | None]) -> None:
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    probe = module_probe(example(kind), Batch(images, torch.arange(4), ""), ("forward", "weights"))
    assert blocks_of_layers(probe) == expected
