"""TE-NAS's kernel and regions equal those of the original network, by singular values and by sets of codes."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
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
from spaces.nb201.cell import Cell, cell_at, cells
from spaces.nb201.network import CellNetwork
from spaces.nb201.sets import cell_set
from spaces.nb201.skeleton import CellSkeleton
from spaces.nb201.xautodl_backbone import XautodlNetwork

EMPTY, IDENTITY, CUT = DEGENERATE
DEAD = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
"""Live is only the last node's convolution; of the two others each feeds a node that leads nowhere."""
SAMPLE = [*ORDINARY, IDENTITY, DEAD, str(cells()[4321])]
SMALL = replace(SKELETON, channels=3, cells_per_stage=1)
THIN = replace(SKELETON, channels=1, cells_per_stage=1, size=3)


def exact(size: int = 6) -> Batch:
    batch = make_batch(size)
    return Batch(batch.images.double(), batch.labels, "")


def placed(batch: Batch) -> Batch:
    return Batch(batch.images.double(), batch.labels, batch.hash)


def score(text: str, cell: str, batch: Batch | None = None) -> float:
    """The score of a proxy for float64 networks."""
    proxy = registry.create(text)
    parsed, first = Cell.parse(cell), batch or exact()

    def build(skeleton: CellSkeleton) -> nn.Module:
        return CellNetwork(parsed, skeleton, Draw(0, proxy.init, momentum=0.0), proxy.sees).double()

    further = views(SKELETON, len(first.labels), exact, lambda *named: placed(make_noise(*named)), build)
    probe = Probe(parsed, SKELETON, lambda: build(SKELETON), lambda: first, proxy.needs, further)
    return proxy.score(probe, probe)


def original(cell: str, skeleton: CellSkeleton) -> nn.Module:
    pytest.importorskip("xautodl.models.cell_infers.tiny_network", reason="xautodl is not installed")
    return XautodlNetwork(Cell.parse(cell), skeleton, Draw(0, "kaiming", momentum=0.0)).inner.double()


@pytest.mark.slow
@pytest.mark.parametrize("cell", SAMPLE)
def test_ntk_is_the_squared_ratio_of_the_singular_values_of_the_original_networks_gradients(cell: str) -> None:
    network, batch = original(cell, SMALL), exact()
    rows = []
    for n in range(len(batch.labels)):
        network.zero_grad()
        network(batch.images)[1][n].sum().backward()
        named = dict(network.named_parameters())
        grads = [named[name].grad for name in sorted(named) if "weight" in name]
        rows.append(np.concatenate([grad.flatten().numpy() for grad in grads if grad is not None]))
    singular = np.linalg.svd(np.stack(rows), compute_uv=False)
    assert score("ntk", cell) == pytest.approx(-((singular[0] / singular[-1]) ** 2), rel=1e-8)


@pytest.mark.slow
def test_ntk_takes_the_first_images() -> None:
    batch = exact(20)
    sixteen = Batch(batch.images[:16], batch.labels[:16], "")
    assert score("ntk", ORDINARY[1], batch) == score("ntk", ORDINARY[1], sixteen)
    assert score("ntk:images=20", ORDINARY[1], batch) != score("ntk", ORDINARY[1], batch)
    assert score("ntk:images=20", ORDINARY[1], sixteen) == score("ntk", ORDINARY[1], sixteen)


@pytest.mark.parametrize("cell", [*ORDINARY, IDENTITY])
def test_the_kernel_of_one_image_is_a_number_and_its_condition_number_one(cell: str) -> None:
    assert score("ntk:images=1", cell) == -1


@pytest.mark.parametrize("cell", [*ORDINARY, IDENTITY])
def test_images_that_are_the_same_make_the_kernel_singular(cell: str) -> None:
    batch = exact()
    images = batch.images.clone()
    images[1] = images[0]
    assert score("ntk", cell, Batch(images, batch.labels, "")) == -math.inf


@pytest.mark.parametrize("cell", [EMPTY, CUT])
def test_the_kernel_of_a_network_without_a_path_is_singular(cell: str) -> None:
    assert score("ntk", cell) == -math.inf


@pytest.mark.slow
def test_a_kernel_that_is_not_a_number_is_reported_as_such() -> None:
    batch = exact()
    images = batch.images.clone()
    images[2, 0, 0, 0] = math.nan
    assert math.isnan(score("ntk", ORDINARY[0], Batch(images, batch.labels, "")))


@pytest.mark.slow
@pytest.mark.parametrize("cell", [*SAMPLE, EMPTY, CUT])
def test_linear_regions_are_the_codes_of_the_original_networks_first_cell(cell: str) -> None:
    network = original(cell, THIN)
    codes: list[np.ndarray] = []

    def keep(_module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if inputs[0].shape[-1] == 3:
            codes.append((inputs[0] > 0).flatten(1).numpy())

    for name, module in network.named_modules():
        if isinstance(module, nn.ReLU) and name.split(".")[:2] in (["cells", "0"], ["cells", "1"]):
            module.register_forward_pre_hook(keep)
    network(noise("thin", 0, 3000, 3, SKELETON.classes).images.double())
    regions = {row.tobytes() for row in np.concatenate(codes, axis=1)}
    assert score("linear_regions", cell) == len(regions)


@pytest.mark.parametrize("cell", [EMPTY, CUT])
def test_behind_a_cell_that_puts_out_zeros_there_is_one_region(cell: str) -> None:
    ahead = score("linear_regions", cell)
    assert ahead == 1 if cell == EMPTY else ahead > 100  # the dead convolutions' ReLUs still read the images


def test_a_cell_without_relus_has_the_regions_of_the_nine_units_behind_it() -> None:
    assert 256 < score("linear_regions", IDENTITY) <= 512


@pytest.mark.slow
def test_regions_are_fewer_than_images_and_tell_cells_apart() -> None:
    sample = random.Random(0).sample(cell_set("unique"), 12)
    found = [score("linear_regions", str(cell_at(index))) for index in sample]
    assert max(found) < 3000
    assert len(set(found)) > 6
