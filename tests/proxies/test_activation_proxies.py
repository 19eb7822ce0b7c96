"""Proxies made of activations equal plain numpy over the outputs of the original network's modules."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from images.base import Batch
from images.noise import noise
from probe.network import Probe
from probe.views import LARGE, views
from proxies import registry
from proxies.near import effective_rank
from proxies.swap import distinct
from proxies.testing import DEGENERATE, ORDINARY, SKELETON, make_batch, make_noise
from spaces.draw import Draw
from spaces.nb201.cell import Cell, cells
from spaces.nb201.network import CellNetwork
from spaces.nb201.skeleton import count_parameters
from spaces.nb201.xautodl_backbone import XautodlNetwork

IMAGES = 20
EMPTY, IDENTITY, CUT = DEGENERATE
DEAD = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
"""Live is only the last node's convolution; of the two others each feeds a node that leads nowhere."""
STARVED = "|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|none~1|avg_pool_3x3~2|"
"""The 3x3 convolution is executed on zeros, and what it puts out reaches the output."""
SAMPLE = [*ORDINARY, *DEGENERATE, DEAD, STARVED, str(cells()[4321])]


def exact() -> Batch:
    batch = make_batch(IMAGES)
    return Batch(batch.images.double(), batch.labels, "")


def placed(batch: Batch) -> Batch:
    return Batch(batch.images.double(), batch.labels, batch.hash)


def probe_of(text: str, cell: str, batch: Batch | None = None) -> Probe:
    """The probe for a proxy, of a float64 network that executes what the proxy sees."""
    proxy = registry.create(text)
    parsed, first = Cell.parse(cell), batch or exact()
    network = CellNetwork(parsed, SKELETON, Draw(0, proxy.init, momentum=0.0), proxy.sees).double()
    further = views(SKELETON, IMAGES, exact, lambda *named: placed(make_noise(*named)), lambda _: network)
    return Probe(parsed, SKELETON, lambda: network, lambda: first, proxy.needs, further)


def score(text: str, cell: str, batch: Batch | None = None) -> float:
    probe = probe_of(text, cell, batch)
    return registry.create(text).score(probe, probe)


def seen(
    cell: str, init: str, images: torch.Tensor, kinds: tuple[type[nn.Module], ...]
) -> Iterator[tuple[nn.Module, np.ndarray, np.ndarray]]:
    """Modules of xautodl's own network in the order of execution, with what they read and put out."""
    pytest.importorskip("xautodl.models.cell_infers.tiny_network", reason="xautodl is not installed")
    network = XautodlNetwork(Cell.parse(cell), SKELETON, Draw(0, init, momentum=0.0)).inner.double()
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    found: list[tuple[nn.Module, np.ndarray, np.ndarray]] = []
    for module in network.modules():
        if isinstance(module, kinds):
            module.register_forward_hook(lambda m, i, o: found.append((m, i[0].numpy().copy(), o.numpy().copy())))
    with torch.no_grad():
        network(images)
    yield from found


# MeCo


def smallest(output: np.ndarray) -> float:
    """Of the correlations of the first image's channels, written out; 0 where a channel is constant."""
    channels = output[0].reshape(output.shape[1], -1)
    centred = channels - channels.mean(1, keepdims=True)
    norms = np.sqrt((centred**2).sum(1))
    outer = np.outer(norms, norms)
    matrix = np.divide(centred @ centred.T, outer, out=np.zeros_like(outer), where=outer > 0)
    return float(np.linalg.eigvals(matrix).real.min())


@pytest.mark.slow
@pytest.mark.parametrize("cell", SAMPLE)
def test_meco_adds_up_the_smallest_eigenvalues_of_the_original_networks_convolutions(cell: str) -> None:
    image = noise("large", 0, 1, LARGE, SKELETON.classes).images.double()
    expected = [smallest(output) for _, _, output in seen(cell, "default", image, (nn.Conv2d,))]
    assert score("meco", cell) == pytest.approx(sum(expected), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("cell", ORDINARY)
def test_a_batch_norm_does_not_change_the_correlations(cell: str) -> None:
    image = noise("large", 0, 1, LARGE, SKELETON.classes).images.double()
    for _, before, after in seen(cell, "default", image, (nn.BatchNorm2d,)):
        assert smallest(after) == pytest.approx(smallest(before), rel=1e-9, abs=1e-12)


def test_a_convolution_of_zeros_adds_nothing_to_meco() -> None:
    without = STARVED.replace("nor_conv_3x3", "none")
    assert score("meco", STARVED) == pytest.approx(score("meco", without), rel=1e-12)


# NEAR


@pytest.mark.parametrize("size", [1, 3, 8])
def test_the_effective_rank_of_equal_singular_values_is_their_number(size: int) -> None:
    assert effective_rank(5 * torch.eye(size)) == pytest.approx(size)
    assert effective_rank(torch.eye(20)[:, :size]) == pytest.approx(size)


def test_the_effective_rank_in_closed_form() -> None:
    assert effective_rank(torch.ones(30, 6)) == pytest.approx(1, rel=1e-6)
    expected = math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    assert effective_rank(torch.diag(torch.tensor([3.0, 1.0]))) == pytest.approx(expected)
    assert effective_rank(torch.zeros(30, 6)) == 0
    assert math.isnan(effective_rank(torch.tensor([[1.0, math.nan], [0.0, 1.0]])))


@pytest.mark.slow
@pytest.mark.parametrize("cell", SAMPLE)
def test_near_adds_up_the_effective_ranks_of_the_original_networks_layers(cell: str) -> None:
    expected = 0.0
    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Linear)
    for _, _, output in seen(cell, "default", exact().images, kinds):
        rows = np.moveaxis(output, 1, -1).reshape(-1, output.shape[1])
        singular = np.linalg.svd(rows, compute_uv=False)
        if singular[0] > 0:
            shares = singular[singular > 0] / singular.sum()
            expected += math.exp(-(shares * np.log(shares)).sum())
    assert score("near", cell) == pytest.approx(expected, rel=1e-6)


# SWAP


@pytest.mark.parametrize("bits", [1, 5, 16, 24, 25, 60, 80])
def test_distinct_columns_are_those_of_a_set(bits: int) -> None:
    generator = torch.Generator().manual_seed(bits)
    few = torch.rand(bits, 40, generator=generator) > 0.5
    codes = few[:, torch.randint(40, (500,), generator=generator)]
    assert distinct(codes) == len({tuple(column) for column in codes.T.tolist()})
    assert distinct(codes) <= 40


def test_columns_that_differ_in_their_last_bit_alone_are_told_apart() -> None:
    codes = torch.zeros(60, 2, dtype=torch.bool)
    assert distinct(codes) == 1
    for bit in (0, 23, 24, 47, 48, 59):
        other = codes.clone()
        other[bit, 1] = True
        assert distinct(other) == 2


@pytest.mark.parametrize("images", [3, 16, 20])
@pytest.mark.parametrize("cell", SAMPLE)
def test_swap_counts_the_patterns_of_the_original_networks_units(cell: str, images: int) -> None:
    patterns: set[bytes] = set()
    for _, values, _ in seen(cell, "gaussian", exact().images, (nn.ReLU,)):
        patterns |= {unit.tobytes() for unit in (values[:images] > 0).reshape(images, -1).T}
    assert score(f"swap:images={images}", cell) == len(patterns)


@pytest.mark.slow
def test_swap_of_one_image_is_at_most_two() -> None:
    one = Batch(exact().images[:1], exact().labels[:1], "")
    assert score("swap", ORDINARY[0], one) == 2
    assert score("swap", EMPTY, one) <= 2


def test_the_largest_network_is_not_held_back() -> None:
    assert score("swap_regularised", ORDINARY[0]) == score("swap", ORDINARY[0])


@pytest.mark.parametrize("cell", SAMPLE)
def test_the_regularised_score_is_the_authors_in_other_units(cell: str) -> None:
    largest = count_parameters(Cell.parse(ORDINARY[0]), SKELETON) / 1000
    thousands = count_parameters(Cell.parse(cell), SKELETON) / 1000
    mu, sigma = 3.0, 20.0  # the authors' kind, in thousands of parameters and their square
    expected = score("swap", cell) * math.exp(-((thousands - mu) ** 2) / sigma)
    text = f"swap_regularised:mu={mu / largest}:sigma={sigma / largest**2}"
    assert score(text, cell) == pytest.approx(expected, rel=1e-9)
