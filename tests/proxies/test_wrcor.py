"""WRCor, against the original network with a hook in front of and behind each of its ReLUs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from common.errors import BadUsage
from images.base import Batch
from probe.module.examples import example
from probe.network import Probe
from proxies import registry
from proxies.base import NotApplicable
from proxies.module import score_module
from proxies.testing import DEGENERATE, ORDINARY, SKELETON, check_proxy, make_batch
from proxies.wrcor import WRCor
from spaces.draw import Draw
from spaces.nb201.cell import Cell, cells
from spaces.nb201.network import CellNetwork
from spaces.nb201.xautodl_backbone import XautodlNetwork

EMPTY, IDENTITY, CUT = DEGENERATE
DEAD = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
SAMPLE = [*ORDINARY, IDENTITY, CUT, DEAD, *(str(cells()[index]) for index in (777, 9999, 15000))]
TEXTS = ("", ":variant=released", ":of=activations", ":of=gradients", ":weighted=false")


def exact(size: int = 6) -> Batch:
    batch = make_batch(size)
    return Batch(batch.images.double(), batch.labels, "")


def score(text: str, cell: str, batch: Batch, network: type[nn.Module] = CellNetwork) -> float:
    proxy = registry.create(text)
    built = network(Cell.parse(cell), SKELETON, Draw(0, momentum=0.0), proxy.sees).double()
    probe = Probe(Cell.parse(cell), SKELETON, lambda: built, lambda: batch, proxy.needs)
    return proxy.score(probe, probe)


def hooked(cell: str, batch: Batch, released: bool) -> tuple[list[np.ndarray], list[np.ndarray], list[list[int]]]:
    """What ReLUs read, the gradients in it through each, and their blocks' numbers."""
    pytest.importorskip("xautodl.models.cell_infers.tiny_network", reason="xautodl is not installed")
    network = XautodlNetwork(Cell.parse(cell), SKELETON, Draw(0, momentum=0.0)).inner.double()
    read: list[np.ndarray] = []
    gradients: list[np.ndarray] = []
    numbers: list[list[int]] = [[], []]

    def watch(relu: nn.ReLU, number: int) -> None:
        last = number == len(network.cells)
        relu.inplace = False

        def after(_: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            seen = output if last and released else inputs[0]  # in place, what it read is what it put out
            read.append(seen.detach().flatten(1).numpy())
            numbers[0].append(number)

        def back(_: nn.Module, found: tuple[torch.Tensor, ...], __: tuple[torch.Tensor, ...]) -> None:
            gradients.append(found[0].flatten(1).numpy())
            numbers[1].append(number)

        relu.register_forward_hook(after)
        relu.register_full_backward_hook(back)

    def watch_pair(pair: nn.Sequential, number: int) -> None:
        def before(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            read.append(inputs[0].detach().flatten(1).numpy())
            numbers[0].append(number)

        def back(_: nn.Module, found: tuple[torch.Tensor, ...], __: tuple[torch.Tensor, ...]) -> None:
            gradients.append(found[0].flatten(1).numpy())
            numbers[1].append(number)

        pair.register_forward_pre_hook(before)
        pair[2].register_full_backward_hook(back)

    for number, block in enumerate([*network.cells, network.lastact]):
        for module in block.modules():
            if isinstance(module, nn.ReLU):
                watch(module, number)
            if released and type(module).__name__ == "ReLUConvBN":  # called like a ReLU
                watch_pair(module.op, number)
    cross_entropy(network(batch.images)[1], batch.labels).backward()
    return read, gradients, numbers


def reference(text: str, cell: str, batch: Batch) -> float:
    read, gradients, numbers = hooked(cell, batch, "released" in text)
    total = np.zeros((len(batch.labels),) * 2)
    sides = {"activations": [0], "gradients": [1]}.get(text.partition("of=")[2], [0, 1])
    for side in sides:
        for rows, number in zip((read, gradients)[side], numbers[side], strict=True):
            with np.errstate(invalid="ignore", divide="ignore"):
                found = np.abs(np.corrcoef(rows))
            if not np.isnan(found).any():
                total += found * (1 if "weighted" in text else 2**number)
    return float(np.linalg.slogdet(total)[1])


@pytest.mark.slow
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("cell", SAMPLE)
def test_it_is_that_of_hooks_on_the_original_networks_relus(cell: str, text: str) -> None:
    expected = reference(text, cell, exact())
    assert score(f"wrcor{text}", cell, exact()) == pytest.approx(expected, rel=1e-6)
    assert score(f"wrcor{text}", cell, exact(), XautodlNetwork) == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
def test_the_whole_of_a_batch_is_looked_at() -> None:
    """The score of two halves, multiplied as the authors' code does, is another."""
    batch = exact(8)
    halves = [Batch(batch.images[part], batch.labels[part], "") for part in (slice(4), slice(4, 8))]
    of_halves = math.prod(score("wrcor", ORDINARY[1], half) for half in halves)
    assert score("wrcor", ORDINARY[1], batch) != pytest.approx(of_halves, rel=1e-3)


def test_images_that_nothing_tells_apart_leave_nothing() -> None:
    batch = exact()
    blank = Batch(torch.zeros_like(batch.images), batch.labels, "")
    assert score("wrcor", EMPTY, blank) == -math.inf


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ResNet", "group norm"])
def test_a_network_of_ones_own_is_weighed_by_its_blocks(kind: str) -> None:
    network, batch = example(kind).double(), exact()
    images = torch.randn(6, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    given = Batch(images, batch.labels, "")
    read: list[np.ndarray] = []
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_pre_hook(
                lambda _, inputs: read.append(inputs[0].detach().flatten(1).numpy().copy())
            )
    network(images)
    total = sum(w * np.abs(np.corrcoef(rows)) for w, rows in zip((1, 1, 1, 2, 2), read, strict=True))
    found = score_module(WRCor(of="activations"), network, given).value
    assert found == pytest.approx(np.linalg.slogdet(total)[1], rel=1e-6)


@pytest.mark.slow
def test_without_blocks_or_rectifiers_there_is_a_reason() -> None:
    batch = make_batch(6)
    images = Batch(torch.randn(6, 3, 16, 16), batch.labels, "")
    with pytest.raises(NotApplicable, match="name blocks"):
        score_module(WRCor(), example("VGG"), images)
    assert math.isfinite(score_module(WRCor(weighted=False), example("VGG"), images).value)
    with pytest.raises(NotApplicable, match="has none"):
        score_module(WRCor(), nn.Sequential(nn.Flatten(), nn.Linear(768, 5)), images)


@pytest.mark.parametrize("text", ["variant=readme", "of=gradient"])
def test_wrong_fields_are_refused(text: str) -> None:
    with pytest.raises(BadUsage, match="of wrcor"):
        registry.create(f"wrcor:{text}")


@pytest.mark.slow
def test_the_contract_is_kept() -> None:
    check_proxy(WRCor)
