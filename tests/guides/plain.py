import pytest
import torch
from spaces.plain.space import PLAIN, PlainSkeleton
from torch import nn

from spaces.draw import Draw


def test_order_texts_and_classes() -> None:
    assert [PLAIN.resolve(str(PLAIN.at(index))) for index in range(8)] == list(range(8))
    assert PLAIN.index_of(PLAIN.chosen(5)) == 5
    assert PLAIN.representatives("function") == (0, 1, 1, 3, 1, 3, 3, 7)
    assert PLAIN.cell_set("functions") == (0, 1, 3, 7)
    assert PLAIN.representatives("cell") == tuple(range(8))


@pytest.mark.parametrize("index", range(8))
@pytest.mark.parametrize("skeleton", [PlainSkeleton(8, 10, 16), PlainSkeleton(8, 10, 16).thin()], ids=str)
def test_counts_are_those_of_the_network(index: int, skeleton: PlainSkeleton) -> None:
    network = PLAIN.builder("own")(PLAIN.at(index), skeleton, Draw(0, momentum=0.0), "function")
    assert sum(p.numel() for p in network.parameters()) == skeleton.count_parameters(PLAIN.at(index))
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(layers) == skeleton.count_layers(PLAIN.at(index))
    output = network(torch.randn(2, 3, skeleton.size, skeleton.size))
    assert output.logits.shape == (2, skeleton.classes)
