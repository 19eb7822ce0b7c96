"""Draws depend on seed, position and initialisation, and on nothing else; their distributions are as said."""

from __future__ import annotations

import hashlib
import math
import random

import pytest
import torch
from conftest import Fork
from torch import nn

from common.errors import BadUsage
from spaces.draw import INITS, Draw, NestedDraw
from spaces.nb201.cell import CONV1, CONV3, Cell, cells
from spaces.nb201.network import CellNetwork
from spaces.nb201.skeleton import CellSkeleton
from spaces.nb201.xautodl_backbone import XautodlNetwork

SKELETON = CellSkeleton(channels=4, cells_per_stage=1, classes=10, size=8)


def digest(draw: Draw) -> str:
    """Hash of the parameters of five cells' networks."""
    found = hashlib.sha256()
    for index in (3, 1000, 4000, 9930, 15000):
        for name, tensor in CellNetwork(cells()[index], SKELETON, draw, sees="executed").state_dict().items():
            found.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return found.hexdigest()


@pytest.mark.slow
def test_a_network_does_not_depend_on_what_was_built_before_it() -> None:
    sample = random.Random(0).sample(cells(), 20)
    forward, backward = Draw(seed=1), Draw(seed=1)
    a = {cell: CellNetwork(cell, SKELETON, forward).state_dict() for cell in sample}
    b = {cell: CellNetwork(cell, SKELETON, backward).state_dict() for cell in reversed(sample)}
    for cell in sample:
        alone = CellNetwork(cell, SKELETON, Draw(seed=1)).state_dict()
        for name, tensor in alone.items():
            assert torch.equal(tensor, a[cell][name])
            assert torch.equal(tensor, b[cell][name])


def test_equal_positions_of_different_cells_hold_equal_weights() -> None:
    a = CellNetwork(Cell((CONV3,) * 6), SKELETON, Draw(seed=1)).state_dict()
    b = CellNetwork(Cell((CONV1, CONV3) * 3), SKELETON, Draw(seed=1)).state_dict()
    for name in b:
        assert torch.equal(a[name], b[name]) == (a[name].shape == b[name].shape)


def print_digests() -> None:
    torch.manual_seed(7)
    torch.rand(5)
    print(*(digest(Draw(5, init)) for init in ("gaussian", "kaiming", "default")))


@pytest.mark.slow
def test_another_process_draws_the_same(fork: Fork) -> None:
    code, said, _ = fork(print_digests).end()
    assert code == 0
    assert said.split() == [digest(Draw(5, i)) for i in ("gaussian", "kaiming", "default")]


@pytest.mark.parametrize(
    ("init", "first"),
    [
        ("default", [-0.116089724, -0.137573168, -0.151412547]),
        ("kaiming", [0.264552414, 0.141193405, 0.142285928]),
        ("gaussian", [-1.636071920, -0.967777073, 0.161243141]),
    ],
)
def test_the_draw_of_stored_scores_is_still_drawn(init: str, first: list[float]) -> None:
    """Other numbers here would mean that every stored score belongs to other networks."""
    drawn = Draw(0, init).draw("cells.0/3/nor_conv_3x3", (4, 4, 3, 3), 36)
    assert drawn.flatten()[:3].tolist() == pytest.approx(first, abs=1e-6)


@pytest.mark.slow
def test_seed_position_and_initialisation_each_change_the_draw() -> None:
    draws = [
        Draw(seed, init).draw(position, (8, 4), 4)
        for seed in (0, 1, 2)
        for init in INITS
        for position in ("cells.0/0/nor_conv_1x1", "cells.0/1/nor_conv_1x1", "cells.1/0/nor_conv_1x1")
    ]
    for k, a in enumerate(draws):
        for b in draws[:k]:
            # of the order, not the values: one random state at two scales is not two draws
            ranks = torch.stack([a.flatten().argsort().argsort(), b.flatten().argsort().argsort()])
            assert torch.corrcoef(ranks.float())[0, 1].abs() < 0.9


def convolutions(init: str) -> list[nn.Conv2d]:
    """One large convolution for each kind in a network: fan-ins 27, 64, 576 and 1,152."""
    draw = Draw(0, init)
    return [draw.conv(f"{i} {o} {k}", i, o, k) for i, o, k in ((3, 256, 3), (64, 128, 1), (64, 64, 3), (128, 64, 3))]


def fan_in(conv: nn.Conv2d) -> int:
    return conv.in_channels * conv.kernel_size[0] * conv.kernel_size[1]


def test_default_is_uniform_within_the_root_of_the_fan_in_like_pytorchs() -> None:
    for conv in convolutions("default"):
        bound = 1 / math.sqrt(fan_in(conv))
        values = conv.weight.detach().flatten()
        assert values.abs().max() <= bound
        # quartiles of a uniform distribution; with 6,900 values or more their standard error is below .006
        quartiles = torch.quantile(values / bound, torch.tensor([0.25, 0.5, 0.75]))
        torch.testing.assert_close(quartiles, torch.tensor([-0.5, 0, 0.5]), rtol=0, atol=0.03)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            theirs = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size[0], bias=False).weight
        assert values.std().item() == pytest.approx(theirs.std().item(), rel=0.03)


@pytest.mark.parametrize("init", ["kaiming", "gaussian"])
def test_normal_initialisations_have_their_standard_deviation(init: str) -> None:
    for conv in convolutions(init):
        std = math.sqrt(2 / fan_in(conv)) if init == "kaiming" else 1.0
        values = conv.weight.detach().flatten() / std
        assert values.mean().item() == pytest.approx(0, abs=0.04)
        assert values.std().item() == pytest.approx(1, rel=0.03)
        # a normal distribution has 68.3 % within one standard deviation, a uniform one 57.7 %
        assert (values.abs() < 1).float().mean().item() == pytest.approx(0.683, abs=0.02)


def test_the_classifier_is_drawn_like_the_convolutions() -> None:
    classifiers = {init: Draw(0, init).linear("classifier", 400, 100) for init in INITS}
    assert not classifiers["kaiming"].bias.any()
    assert not classifiers["gaussian"].bias.any()
    bound = 1 / math.sqrt(400)
    for tensor in (classifiers["default"].weight, classifiers["default"].bias):
        assert tensor.abs().max() <= bound
        assert tensor.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.15)
    assert classifiers["kaiming"].weight.std().item() == pytest.approx(math.sqrt(2 / 400), rel=0.03)
    assert classifiers["gaussian"].weight.std().item() == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize("init", INITS)
def test_weights_of_a_network_are_the_draws_at_their_positions(init: str) -> None:
    draw = Draw(2, init)
    state = CellNetwork(Cell((CONV3,) * 6), SKELETON, draw).state_dict()
    drawn = draw.draw("cells.2/5/nor_conv_3x3", (8, 8, 3, 3), 72)
    assert torch.equal(state["cells.2.layers.5.op.1.weight"], drawn)
    assert torch.equal(state["cells.1.downsample.1.weight"], draw.draw("cells.1/downsample", (8, 4, 1, 1), 4))
    assert (state["cells.2.layers.5.op.2.weight"] == 1).all()
    assert not state["cells.2.layers.5.op.2.bias"].any()


@pytest.mark.slow
@pytest.mark.parametrize("backbone", [CellNetwork, XautodlNetwork])
def test_building_leaves_the_global_random_state(backbone: type[nn.Module]) -> None:
    if backbone is XautodlNetwork:
        pytest.importorskip("xautodl.models.cell_infers.tiny_network", reason="xautodl is not installed")
    state, of_python = torch.random.get_rng_state(), random.getstate()
    for cell in cells()[:5]:
        backbone(cell, SKELETON, Draw(0))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert random.getstate() == of_python


@pytest.mark.slow
@pytest.mark.parametrize("backbone", [CellNetwork, XautodlNetwork])
def test_building_does_not_depend_on_the_global_random_state(backbone: type[nn.Module]) -> None:
    if backbone is XautodlNetwork:
        pytest.importorskip("xautodl.models.cell_infers.tiny_network", reason="xautodl is not installed")
    states = []
    for seed in (0, 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            states.append(backbone(Cell((CONV3,) * 6), SKELETON, Draw(0)).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_an_unknown_initialisation_is_bad_usage_with_a_suggestion() -> None:
    with pytest.raises(BadUsage, match="did you mean 'kaiming'"):
        Draw(0, "kaimng")


# networks of unequal widths


@pytest.mark.parametrize("init", INITS)
def test_a_nested_draw_has_the_first_of_the_widest_layers_weights(init: str) -> None:
    draw = Draw(3, init)
    nested = NestedDraw(draw, 6)
    wide, narrow = nested.conv("here", 6, 6, 3), nested.conv("here", 2, 4, 3)
    assert torch.equal(wide.weight, Draw(3, init).conv("here", 6, 6, 3).weight)
    scale = 1.0 if init == "gaussian" else math.sqrt(6 / 2)
    torch.testing.assert_close(narrow.weight, wide.weight[:4, :2] * scale)
    assert narrow.weight.is_contiguous(memory_format=torch.channels_last)
    assert nested.conv("here", 2, 4, 3) is narrow is NestedDraw(draw, 6).conv("here", 2, 4, 3)
    assert not torch.equal(nested.conv("there", 2, 4, 3).weight, narrow.weight)
    assert nested.bn("norm", 4) is not nested.bn("norm", 2)
    head, whole = nested.linear("head", 2, 10), nested.linear("head", 6, 10)
    torch.testing.assert_close(head.weight, whole.weight[:, :2] * scale)
    assert head.weight.is_contiguous()
    assert head.bias.shape == (10,)


def test_layers_of_two_shapes_at_one_position_are_two_layers() -> None:
    def shapes(*order: tuple[int, int]) -> dict[tuple[int, int], torch.Size]:
        draw = Draw(0)
        found = {size: draw.conv_bn("a", 3, *size) for size in order}
        assert all(pair.bn.num_features == size[0] for size, pair in found.items())
        assert draw.conv("a", 3, *order[0]) is found[order[0]].conv, "the same layer is the same module"
        return {size: pair.conv.weight.shape for size, pair in found.items()}

    wide, narrow = (16, 1), (8, 3)
    assert shapes(wide, narrow) == shapes(narrow, wide) == {wide: (16, 3, 1, 1), narrow: (8, 3, 3, 3)}
    draw = Draw(0)
    assert draw.linear("c", 32, 10).weight.shape == (10, 32)
    assert draw.linear("c", 8, 10).weight.shape == (10, 8)
    assert torch.equal(draw.linear("c", 8, 10).weight, Draw(0).linear("c", 8, 10).weight)
