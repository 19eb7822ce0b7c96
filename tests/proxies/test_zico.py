"""ZiCo equals a loop over the entries of the original network's gradients, and leaves out what does not move."""

from __future__ import annotations

import math
import statistics
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from images.base import Batch
from probe.network import Probe
from probe.views import views
from proxies import registry
from proxies.testing import DEGENERATE, ORDINARY, SKELETON, make_batch, make_noise
from spaces.draw import Draw
from spaces.nb201.cell import Cell, cells
from spaces.nb201.network import CellNetwork
from spaces.nb201.xautodl_backbone import XautodlNetwork

EMPTY, IDENTITY, CUT = DEGENERATE
STARVED = "|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|none~1|avg_pool_3x3~2|"
"""The 3x3 convolution is executed on zeros, and what it puts out reaches the output."""
SAMPLE = [*ORDINARY, *DEGENERATE, STARVED, str(cells()[4321])]


def exact(seed: int) -> Batch:
    batch = make_batch(6, seed)
    return Batch(batch.images.double(), batch.labels, "")


def score(cell: str, first: Batch, second: Batch, init: str = "default") -> float:
    """ZiCo of a float64 network."""
    proxy = registry.create(f"zico:init={init}")
    parsed = Cell.parse(cell)
    network = CellNetwork(parsed, SKELETON, Draw(0, init, momentum=0.0), proxy.sees).double()
    further = views(SKELETON, len(first.labels), lambda: second, make_noise, lambda _: network)
    probe = Probe(parsed, SKELETON, lambda: network, lambda: first, proxy.needs, further)
    return proxy.score(probe, probe)


@pytest.mark.slow
@pytest.mark.parametrize("init", ["default", "kaiming"])
@pytest.mark.parametrize("cell", SAMPLE)
def test_zico_is_a_loop_over_the_entries_of_the_original_networks_gradients(cell: str, init: str) -> None:
    pytest.importorskip("xautodl.models.cell_infers.tiny_network", reason="xautodl is not installed")
    network = XautodlNetwork(Cell.parse(cell), SKELETON, Draw(0, init, momentum=0.0)).inner.double()
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    gradients: list[list[list[float]]] = []  # batch, layer, entry
    for batch in (exact(0), exact(1)):
        network.zero_grad()
        cross_entropy(network(batch.images)[1], batch.labels).backward()
        grads = [layer.weight.grad for layer in layers]
        gradients.append([[] if grad is None else grad.flatten().tolist() for grad in grads])
    expected = 0.0
    for pair in zip(*gradients, strict=True):
        entries = list(zip(*pair, strict=True))
        deviations = [statistics.pstdev(values) for values in entries]
        means = [statistics.fmean(map(abs, values)) for values in entries]
        total = math.fsum(mean / std for mean, std in zip(means, deviations, strict=True) if std > 0)
        expected += math.log(total) if total else 0
    assert score(cell, exact(0), exact(1), init) == pytest.approx(expected, rel=1e-7)


def closed(*pairs: tuple[list[float], list[float]]) -> float:
    """ZiCo of layers whose gradients in the two batches are given."""
    names = [f"{k}.weight" for k in range(len(pairs))]
    first, second = ({name: torch.tensor(pair[b]) for name, pair in zip(names, pairs, strict=True)} for b in (0, 1))
    student = SimpleNamespace(weights=dict.fromkeys(names), gradients=first, second=SimpleNamespace(gradients=second))
    return registry.create("zico").score(student, student)  # type: ignore[arg-type]


def test_zico_by_hand() -> None:
    assert closed(([3.0], [1.0])) == pytest.approx(math.log(2))  # mean 2, deviation 1
    assert closed(([3.0, 1.0], [1.0, -1.0])) == pytest.approx(math.log(2 + 1))
    assert closed(([3.0], [1.0]), ([5.0], [3.0])) == pytest.approx(math.log(2) + math.log(4))


def test_entries_and_layers_that_do_not_move_are_left_out() -> None:
    assert closed(([3.0, 7.0], [1.0, 7.0])) == pytest.approx(math.log(2))
    assert closed(([3.0], [1.0]), ([0.0, 4.0], [0.0, 4.0])) == pytest.approx(math.log(2))
    assert closed(([2.0], [2.0])) == 0


def test_a_gradient_that_is_not_a_number_is_not_left_out() -> None:
    assert math.isnan(closed(([3.0, math.nan], [1.0, 1.0])))


def test_the_same_batch_twice_scores_zero() -> None:
    assert score(ORDINARY[0], exact(0), exact(0)) == 0


@pytest.mark.parametrize("cell", [EMPTY, CUT])
def test_no_gradient_moves_in_a_network_without_a_path(cell: str) -> None:
    assert score(cell, exact(0), exact(1)) == 0
