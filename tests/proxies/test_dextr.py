"""Dextr, against singular values of hooked maps and the original network's outputs, differentiated one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from common.errors import BadUsage
from images.base import Batch
from images.noise import noise
from probe.network import Probe
from probe.views import View
from proxies import registry
from proxies.base import NotApplicable
from proxies.dextr import Dextr
from proxies.testing import DEGENERATE, ORDINARY, SKELETON, check_proxy, make_batch
from spaces.draw import Draw
from spaces.nb201.cell import Cell, cells
from spaces.nb201.network import CellNetwork
from spaces.nb201.xautodl_backbone import XautodlNetwork

EMPTY, IDENTITY, CUT = DEGENERATE
SAMPLE = [*ORDINARY, IDENTITY, CUT, *(str(cells()[index]) for index in (777, 4321, 9999, 15000))]


def double(batch: Batch) -> Batch:
    return Batch(batch.images.double(), batch.labels, batch.hash)


def drawn(count: int = 6) -> Batch:
    return double(noise("noise", 0, count, SKELETON.size, SKELETON.classes))


def score(text: str, cell: str, count: int = 6, batch: Batch | None = None) -> float:
    proxy = registry.create(text)
    network = CellNetwork(Cell.parse(cell), SKELETON, Draw(0, momentum=0.0), proxy.sees).double()
    views = {"noise": View(lambda: drawn(count))}
    batch = batch or double(make_batch(count))
    probe = Probe(network.cell, SKELETON, lambda: network, lambda: batch, proxy.needs, views)
    return proxy.score(probe, probe)


def original(cell: str) -> nn.Module:
    pytest.importorskip("xautodl.models.cell_infers.tiny_network", reason="xautodl is not installed")
    return XautodlNetwork(Cell.parse(cell), SKELETON, Draw(0, momentum=0.0)).inner.double()


def independence(cell: str) -> float:
    network, total = original(cell), 0.0

    def look(_: nn.Module, __: object, output: torch.Tensor) -> None:
        nonlocal total
        values = np.linalg.svd(output[0].detach().flatten(1).numpy(), compute_uv=False)
        total += values[-1] / values[0] if values[0] > 0 else 0.0

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.ReLU):
            module.register_forward_hook(look)
    network(double(make_batch(6)).images)
    return total


def curvature(cell: str, chosen: list[int]) -> float:
    """Output by output, as of a curve with a parameter, and the square of an area."""
    network = original(cell)
    basis, sizes = np.linalg.qr(drawn().images[:2].flatten(1).numpy().T)
    u, w = torch.from_numpy((basis * np.sign(np.diag(sizes))).T.copy())
    t = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    outputs = network((torch.cos(t) * u + torch.sin(t) * w).view(1, 3, SKELETON.size, SKELETON.size))[1][0]
    first, second = [], []
    for output in outputs[chosen]:
        (v,) = torch.autograd.grad(output, t, create_graph=True)
        (a,) = torch.autograd.grad(v, t, retain_graph=True)
        first.append(v.item())
        second.append(a.item())
    pairs = [(v, a, x, b) for v, a in zip(first, second, strict=True) for x, b in zip(first, second, strict=True)]
    area = sum((v * b - x * a) ** 2 for v, a, x, b in pairs) / 2
    return math.sqrt(area) / sum(v * v for v in first) ** 1.5


@pytest.mark.slow
@pytest.mark.parametrize("outputs", ["all", "ten"])
@pytest.mark.parametrize("cell", SAMPLE)
def test_it_is_that_of_the_original_networks_maps_and_outputs(cell: str, outputs: str) -> None:
    chosen = list(range(SKELETON.classes)) if outputs == "all" else drawn().labels[:10].tolist()
    a = math.log(1 + independence(cell))
    if cell == CUT:
        expected = a
    else:
        b = math.log(1 + curvature(cell, chosen))
        expected = a * b / (a + b)
    assert score(f"dextr:outputs={outputs}", cell) == pytest.approx(expected, rel=1e-6)


def test_a_circle_takes_two_images() -> None:
    with pytest.raises(NotApplicable, match="two images or more"):
        score("dextr", ORDINARY[0], 1)


@pytest.mark.slow
def test_images_that_are_not_numbers_give_no_number() -> None:
    batch = double(make_batch(6))
    batch.images[0, 0, 0, 0] = math.nan
    assert math.isnan(score("dextr", ORDINARY[0], batch=batch))


def test_wrong_outputs_are_refused() -> None:
    with pytest.raises(BadUsage, match="outputs of dextr"):
        registry.create("dextr:outputs=eleven")


@pytest.mark.slow
def test_the_contract_is_kept() -> None:
    check_proxy(Dextr)
