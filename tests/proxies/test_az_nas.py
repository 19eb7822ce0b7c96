"""AZ-NAS's components equal loops over the benchmark's own network class, block by block."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from images.base import Batch
from images.noise import noise
from probe.needs import NotApplicable
from probe.network import Probe
from probe.views import View
from proxies import registry
from proxies.testing import DEGENERATE, ORDINARY, make_batch
from spaces.draw import Draw
from spaces.nb201.cell import Cell, cells
from spaces.nb201.network import CellNetwork
from spaces.nb201.skeleton import CellSkeleton
from spaces.nb201.xautodl_backbone import XautodlNetwork
from spaces.output import Output

SKELETON = CellSkeleton(channels=4, cells_per_stage=1, classes=5, size=8)
EMPTY, SKIPS, CUT = DEGENERATE
IDENTITY = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
DEAD = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
SAMPLE = [*ORDINARY, *DEGENERATE, DEAD, str(cells()[4321]), str(cells()[9930])]
NAMES = ("az_expressivity", "az_progressivity", "az_trainability")


def double(batch: Batch) -> Batch:
    return Batch(batch.images.double(), batch.labels, batch.hash)


def probe_of(text: str, cell: str, seed: int = 0) -> Probe:
    """A probe of a float64 network, with noise in float64."""
    proxy, parsed = registry.create(text), Cell.parse(cell)
    network = CellNetwork(parsed, SKELETON, Draw(seed, proxy.init, momentum=0.0), proxy.sees).double()
    images = double(noise("noise", seed, 6, SKELETON.size, SKELETON.classes))
    further = {"noise": View(lambda: images)}
    return Probe(parsed, SKELETON, lambda: network, lambda: double(make_batch(6)), proxy.needs, further)


def score(text: str, cell: str, seed: int = 0) -> float:
    probe = probe_of(text, cell, seed)
    return registry.create(text).score(probe, probe)


def original(cell: str, init: str) -> tuple[nn.Module, list[torch.Tensor]]:
    """xautodl's own network with the same weights, and its maps f_0, f_1, ... on the same noise."""
    pytest.importorskip("xautodl.models.cell_infers.tiny_network", reason="xautodl is not installed")
    network = XautodlNetwork(Cell.parse(cell), SKELETON, Draw(0, init, momentum=0.0)).inner.double()
    maps: list[torch.Tensor] = []
    for block in (network.stem, *network.cells):
        block.register_forward_hook(lambda _block, _inputs, output: maps.append(output.detach()))
    network(probe_of("az_expressivity", cell).noise.images)
    return network, list(maps)


def entropy(features: torch.Tensor) -> float:
    """By the singular values of the centred data, a row for each pixel."""
    pixels = np.array([features[b, :, i, j].numpy() for b, i, j in np.ndindex(len(features), *features.shape[2:])])
    squares = np.linalg.svd(pixels - pixels.mean(0), compute_uv=False) ** 2
    return -sum(q * math.log(q) for q in squares / squares.sum() if q > 0) if squares.any() else 0.0


@pytest.mark.slow
@pytest.mark.parametrize("init", ["kaiming", "gaussian"])
@pytest.mark.parametrize("cell", SAMPLE)
def test_expressivity_and_progressivity_are_of_the_maps_singular_values(cell: str, init: str) -> None:
    entropies = [entropy(features) for features in original(cell, init)[1]]
    assert len(entropies) == 1 + 5
    gains = [after - before for before, after in pairwise(entropies)]
    assert score(f"az_expressivity:init={init}", cell) == pytest.approx(sum(entropies), rel=1e-9)
    assert score(f"az_progressivity:init={init}", cell) == pytest.approx(min(gains), rel=1e-8, abs=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("init", ["kaiming", "gaussian"])
@pytest.mark.parametrize("cell", SAMPLE)
def test_trainability_is_that_of_each_block_run_by_itself(cell: str, init: str) -> None:
    network, maps = original(cell, init)
    drawn = probe_of(f"az_trainability:init={init}", cell).noise.block_gradients
    scores = []
    for number, block in enumerate(network.cells):
        signs = drawn[number].output
        C, H = signs.shape[1:3]
        start = maps[number].clone().requires_grad_()
        (block(start) * signs).sum().backward()
        assert start.grad is not None
        stride = start.shape[2] // H
        folded = [start.grad[:, c, i::stride, j::stride] for c, i, j in np.ndindex(start.shape[1], stride, stride)]
        mean = [[(channel * signs[:, o]).mean().item() for o in range(C)] for channel in folded]
        s = math.sqrt(max(np.linalg.eigvalsh(np.array(mean).T @ np.array(mean)).max(), 0))
        scores.append(-s - 1 / (s + 1e-6) + 2)
    assert len(scores) == 5
    assert score(f"az_trainability:init={init}", cell) == pytest.approx(sum(scores) / 5, rel=1e-7)


@pytest.mark.parametrize("cell", SAMPLE)
def test_complexity_is_flops(cell: str) -> None:
    assert score("az_complexity", cell) == score("flops", cell)


# closed forms


class Chain(nn.Module):
    """Blocks in a row behind a stem that does nothing."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList([nn.Identity(), *blocks])

    @property
    def blocks(self) -> list[nn.Module]:
        return list(self.parts)

    def forward(self, images: torch.Tensor) -> Output:
        for block in self.parts:
            images = block(images)
        pooled = images.mean((2, 3))
        return Output(pooled, pooled, (images,))


class Mix(nn.Module):
    """A matrix on the channels."""

    def __init__(self, matrix: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(matrix.double())

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.einsum("oi,bihw->bohw", self.weight, features)


def chain_score(name: str, images: torch.Tensor, *blocks: nn.Module) -> float:
    proxy, cell, network = registry.create(name), Cell.parse(IDENTITY), Chain(*blocks)
    batch = Batch(images.double(), torch.zeros(len(images), dtype=torch.int64), "")
    probe = Probe(cell, SKELETON, lambda: network, lambda: batch, proxy.needs, {"noise": View(lambda: batch)})
    return proxy.score(probe, probe)


SQUARE = torch.tensor([[1.0, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]).view(1, 3, 2, 2) + 7
"""Three channels of variance 1 and mean 7 that do not correlate."""


def test_entropy_is_the_logarithm_of_the_number_of_equal_directions() -> None:
    assert chain_score("az_expressivity", SQUARE) == pytest.approx(math.log(3))
    two = Mix(torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 1, 0]]) / torch.tensor([1.0, 2**0.5, 2**0.5])[:, None])
    assert chain_score("az_expressivity", SQUARE, two) == pytest.approx(math.log(3) + math.log(2))
    assert chain_score("az_progressivity", SQUARE, two) == pytest.approx(math.log(2) - math.log(3))
    one, none = Mix(torch.tensor([[1.0, 0, 0]] * 3)), Mix(torch.zeros(3, 3))
    for flat in (one, none):
        assert chain_score("az_expressivity", SQUARE, flat) == pytest.approx(math.log(3))
        assert chain_score("az_progressivity", SQUARE, flat, flat) == pytest.approx(-math.log(3))
    weighted = Mix(torch.diag(torch.tensor([3.0, 1, 0])))
    share = -0.9 * math.log(0.9) - 0.1 * math.log(0.1)
    assert chain_score("az_progressivity", SQUARE, weighted) == pytest.approx(share - math.log(3))


@pytest.mark.parametrize("scale", [0.25, 1.0, 4.0])
def test_trainability_of_a_rotation_is_known_from_how_much_it_stretches(scale: float) -> None:
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0]
    images = torch.zeros(40, 3, 16, 16)
    found = chain_score("az_trainability", images, Mix(scale * rotation))
    assert found == pytest.approx(-scale - 1 / scale + 2, abs=0.1 * scale + 0.05)


def test_a_stride_folds_the_pixels_behind_one_into_channels() -> None:
    """A mean of 2 x 2 pixels passes a quarter on to each: four singular values of 1 / 4 in one, 1 / 2."""
    images = torch.zeros(40, 1, 32, 32)
    assert chain_score("az_trainability", images, _Pool()) == pytest.approx(-0.5 - 2 + 2, abs=1e-4)


class _Pool(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return nn.functional.avg_pool2d(features * self.weight, 2)


def test_a_network_of_other_parts_is_refused_by_name() -> None:
    proxy = registry.create("az_expressivity")
    batch = double(make_batch(2))
    probe = Probe(
        Cell.parse(EMPTY), SKELETON, lambda: nn.Flatten(), lambda: batch, proxy.needs, {"noise": View(lambda: batch)}
    )
    with pytest.raises(NotApplicable, match="Flatten has no list `blocks`"):
        proxy.score(probe, probe)


# degenerate cells, and what the numbers depend on


def test_a_block_that_hands_gradients_on_unchanged_is_minus_infinity() -> None:
    assert score("az_trainability", IDENTITY) == -math.inf
    assert -10 < score("az_trainability", SKIPS) < 0  # each cell times 4


@pytest.mark.slow
@pytest.mark.parametrize("cell", [EMPTY, CUT])
def test_a_network_without_a_path_has_the_lowest_of_finite_scores(cell: str) -> None:
    ordinary = {name: min(score(name, other) for other in ORDINARY) for name in NAMES}
    for name in NAMES:
        assert -math.inf < score(name, cell) < ordinary[name], name
    # three cells hand nothing on; a reduction in between still does
    assert score("az_trainability", cell) == pytest.approx(3 * (2 - 1e6) / 5, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("cell", ORDINARY)
def test_the_draw_of_weights_and_its_kind_matter(name: str, cell: str) -> None:
    values = [score(name, cell), score(name, cell, seed=1), score(f"{name}:init=gaussian", cell)]
    assert len(set(values)) == 3
    assert registry.create(name).init == "kaiming"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_a_number_stays_one(name: str) -> None:
    images = SQUARE.clone()
    images[0, 0, 0, 0] = math.nan
    squares = nn.Sequential(Mix(torch.ones(3, 3)), _Square())
    assert math.isnan(chain_score(name, images, squares, Mix(torch.eye(3))))


class _Square(nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features**2
