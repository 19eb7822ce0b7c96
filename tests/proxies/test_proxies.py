"""Scores equal plain loops over the benchmark's own network class, and do not depend on the company they keep."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bench.benchmarks import Benchmark, benchmark
from bench.plan import Pass
from bench.worker import Setup, Worker
from images.base import Batch
from probe.network import Probe
from proxies import registry
from proxies.registry import create
from proxies.testing import DEGENERATE, ORDINARY, make_batch
from spaces.draw import Draw
from spaces.nb201.cell import NONE, Cell, cell_at, cells
from spaces.nb201.network import CellNetwork
from spaces.nb201.sets import cell_set
from spaces.nb201.skeleton import CellSkeleton
from spaces.nb201.xautodl_backbone import XautodlNetwork

pytestmark = pytest.mark.slow

SKELETON = CellSkeleton(channels=4, cells_per_stage=1, classes=5, size=8)
TEACHER_SKELETON = CellSkeleton(channels=4, cells_per_stage=2, classes=5, size=8)
SAMPLE = [*ORDINARY, *DEGENERATE, *map(str, random.Random(2).sample(cells(), 6))]
DEAD = tuple(
    cell.index
    for cell in random.Random(3).sample(cells(), 60)
    if not cell.is_valid() and len(cell.live_edges()) > 2 and NONE in cell.operations
)[:3]
"""Cells of which a part is live and a part is not: the live and the executed network differ."""


def exact_batch() -> Batch:
    batch = make_batch(6)
    return Batch(batch.images.double(), batch.labels, batch.hash)


def score(text: str, cell: str) -> float:
    """The score of a proxy for a float64 network that executes what the proxy sees."""
    proxy = registry.create(text)
    parsed, batch = Cell.parse(cell), exact_batch()

    def probe(skeleton: CellSkeleton, role: str) -> Probe:
        draw = Draw(0, proxy.init, role=role, momentum=0.0)
        network = CellNetwork(parsed, skeleton, draw, proxy.sees).double()
        return Probe(parsed, skeleton, lambda: network, lambda: batch, proxy.needs)

    return proxy.score(probe(SKELETON, ""), probe(TEACHER_SKELETON, "teacher "))


def original(cell: str, init: str = "default") -> nn.Module:
    """xautodl's own network with the same weights, in float64."""
    pytest.importorskip("xautodl.models.cell_infers.tiny_network", reason="xautodl is not installed")
    return XautodlNetwork(Cell.parse(cell), SKELETON, Draw(0, init, momentum=0.0)).inner.double()


def weighted(network: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


# against loops over the original network


@pytest.mark.parametrize("init", ["default", "kaiming"])
@pytest.mark.parametrize("cell", SAMPLE)
def test_snip_and_grad_norm_are_sums_over_the_original_networks_layers(cell: str, init: str) -> None:
    network, batch = original(cell, init), exact_batch()
    network.zero_grad()
    _, logits = network(batch.images)
    cross_entropy(logits, batch.labels).backward()
    snip = grad_norm = 0.0
    for layer in weighted(network):
        if layer.weight.grad is not None:
            snip += (layer.weight * layer.weight.grad).abs().sum().item()
            grad_norm += math.sqrt((layer.weight.grad**2).sum().item())
    assert score(f"snip:init={init}", cell) == pytest.approx(snip, rel=1e-8, abs=1e-14)
    assert score(f"grad_norm:init={init}", cell) == pytest.approx(grad_norm, rel=1e-8, abs=1e-14)


def without_batch_norms(module: nn.Module) -> nn.Module:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, nn.Identity())
        else:
            without_batch_norms(child)
    return module


@pytest.mark.parametrize("cell", SAMPLE)
def test_synflow_is_that_of_the_original_network_with_magnitudes_and_identities(cell: str) -> None:
    network = without_batch_norms(copy.deepcopy(original(cell)))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    network.zero_grad()
    _, logits = network(torch.ones(1, 3, SKELETON.size, SKELETON.size, dtype=torch.float64))
    logits.sum().backward()
    expected = sum(
        (layer.weight * layer.weight.grad).abs().sum().item()
        for layer in weighted(network)
        if layer.weight.grad is not None
    )
    assert score("synflow", cell) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("cell", SAMPLE)
def test_synflow_bn_is_that_of_the_original_network_with_magnitudes_and_batch_norms(cell: str) -> None:
    network = original(cell)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    _, logits = network(torch.ones(1, 3, SKELETON.size, SKELETON.size, dtype=torch.float64))
    layers = weighted(network)
    gradients = torch.autograd.grad(logits.sum(), [layer.weight for layer in layers], materialize_grads=True)
    expected = sum(
        abs(weight * gradient)
        for layer, of_layer in zip(layers, gradients, strict=True)
        for weight, gradient in zip(layer.weight.flatten().tolist(), of_layer.flatten().tolist(), strict=True)
    )
    assert score("synflow_bn", cell) == pytest.approx(expected, rel=1e-8)


def test_synflow_neither_reads_nor_builds_on_the_batch() -> None:
    """It sees weights alone: a probe that refuses to load images is enough."""

    def refuse() -> Batch:
        raise AssertionError("loaded the batch")

    proxy = registry.create("synflow")
    network = CellNetwork(Cell.parse(ORDINARY[1]), SKELETON, Draw(0, momentum=0.0))
    probe = Probe(network.cell, SKELETON, lambda: network, refuse, proxy.needs)
    assert proxy.score(probe, probe) == pytest.approx(score("synflow", ORDINARY[1]), rel=1e-12)


def test_synflow_of_a_large_network_is_finite_and_passes_what_float32_can_hold() -> None:
    skeleton = CellSkeleton(channels=16, cells_per_stage=5, classes=10, size=8)
    network = CellNetwork(Cell.parse(ORDINARY[0]), skeleton, Draw(0, "gaussian", momentum=0.0))
    probe = Probe(network.cell, skeleton, lambda: network, lambda: make_batch(1), ("weights",))
    value = registry.create("synflow:init=gaussian").score(probe, probe)
    assert torch.finfo(torch.float32).max < value < math.inf


def exact_determinant(matrix: list[list[int]]) -> Fraction:
    """By elimination in rational numbers."""
    rows, result = [[Fraction(value) for value in row] for row in matrix], Fraction(1)
    for k in range(len(rows)):
        pivot = next((i for i in range(k, len(rows)) if rows[i][k]), None)
        if pivot is None:
            return Fraction(0)
        if pivot != k:
            rows[k], rows[pivot], result = rows[pivot], rows[k], -result
        result *= rows[k][k]
        for i in range(k + 1, len(rows)):
            factor = rows[i][k] / rows[k][k]
            rows[i] = [a - factor * b for a, b in zip(rows[i], rows[k], strict=True)]
    return result


@pytest.mark.parametrize("cell", SAMPLE)
def test_nwot_counts_agreements_of_every_relu_of_the_original_network_image_by_image(cell: str) -> None:
    network, batch = original(cell), exact_batch()
    inputs: list[np.ndarray] = []
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_pre_hook(lambda _, values: inputs.append(values[0].detach().flatten(1).numpy()))
    network(batch.images)
    B = len(batch.labels)
    kernel = [[0] * B for _ in range(B)]
    for values in inputs:
        for i in range(B):
            for j in range(B):
                kernel[i][j] += int(np.count_nonzero((values[i] > 0) == (values[j] > 0)))
    determinant = exact_determinant(kernel)
    expected = math.log(abs(determinant)) if determinant else -math.inf
    assert score("nwot", cell) == pytest.approx(expected, rel=1e-9)


def test_nwot_is_minus_infinity_where_no_relu_tells_two_images_apart() -> None:
    proxy = registry.create("nwot")
    images = exact_batch().images
    images[1] = images[0]
    twice = Batch(images, torch.arange(len(images)) % 5, "")
    network = CellNetwork(Cell.parse(ORDINARY[0]), SKELETON, Draw(0, momentum=0.0)).double()
    probe = Probe(network.cell, SKELETON, lambda: network, lambda: twice, proxy.needs)
    assert proxy.score(probe, probe) == -math.inf


def test_nwot_is_minus_infinity_for_every_batch_that_has_an_image_twice() -> None:
    """Though the rounding of a determinant gives most of these kernels a finite one."""
    rng, rounded = np.random.default_rng(8), 0
    for size in range(4, 64):
        codes = rng.integers(0, 2, (size, 500))
        alone = codes @ codes.T + (1 - codes) @ (1 - codes).T
        assert registry.create("nwot").score(kernel_only(alone), kernel_only(alone)) == pytest.approx(
            np.linalg.slogdet(alone)[1]
        )
        codes[-1] = codes[1]
        twice = codes @ codes.T + (1 - codes) @ (1 - codes).T
        rounded += bool(np.isfinite(np.linalg.slogdet(twice)[1]))
        assert registry.create("nwot").score(kernel_only(twice), kernel_only(twice)) == -math.inf
    assert rounded, "the rounding that is stepped around is there"


def kernel_only(kernel: np.ndarray) -> Any:
    """What nwot reads of a probe."""
    return SimpleNamespace(relu_kernel=torch.from_numpy(kernel.astype(float)))


@pytest.mark.parametrize("temperature", [0.5, 4.0])
@pytest.mark.parametrize("cell", [*ORDINARY, DEGENERATE[0]])
def test_kd_is_minus_the_divergence_from_teacher_to_student(cell: str, temperature: float) -> None:
    batch = exact_batch()
    logits = []
    for skeleton, role in ((TEACHER_SKELETON, "teacher "), (SKELETON, "")):
        network = CellNetwork(Cell.parse(cell), skeleton, Draw(0, role=role)).double()
        logits.append(network(batch.images).logits.detach().numpy() / temperature)
    p, q = (np.exp(each) / np.exp(each).sum(1, keepdims=True) for each in logits)
    expected = -(temperature**2) * (p * np.log(p / q)).sum(1).mean()
    assert score(f"kd:temperature={temperature}", cell) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("cell", SAMPLE)
def test_params_and_flops_count_what_the_original_network_holds_and_runs(cell: str) -> None:
    network = original(cell)
    multiply_adds: list[int] = []

    def count(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        assert isinstance(module, nn.Conv2d | nn.Linear)
        multiply_adds.append(output.numel() * module.weight[0].numel())  # of one image: output.numel() holds no batch

    for layer in weighted(network):
        layer.register_forward_hook(count)
    network.eval()(exact_batch().images[:1])
    assert score("params", cell) == sum(parameter.numel() for parameter in network.parameters())
    assert score("flops", cell) == sum(multiply_adds)


# the same number whatever else is scored, and on either backbone

VARIANTS = ("diswot:variant=paper", "diswot:variant=released", "diswot_relation:variant=paper", "fisher:weighted=false")
EVERY = (*registry.known(), *VARIANTS)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As in a worker: sums in one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class ExactWorker(Worker):
    """A worker with networks and images of float64."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        build = self._build
        self._build = lambda *what: build(*what).double()

    def _placed(self, batch: Batch) -> Batch:
        placed = super()._placed(batch)
        return Batch(placed.images.double(), placed.labels, placed.hash)


def outcomes(
    texts: tuple[str, ...], indices: tuple[int, ...], setting: Benchmark, worker_class: type[Worker] = Worker
) -> list[dict[str, float | None]]:
    """For each cell the score of each proxy, all proxies of an initialisation reading one probe of one network: that it
    is the same in a group is shown in test_together.py."""
    worker = worker_class(Setup(setting, tuple(map(create, texts)), (), None, "cpu", together=1))
    inits = {proxy.init for proxy in worker.proxies}
    found = []
    for index in indices:
        rows = {}
        for init in inits:
            numbers = tuple(k for k, proxy in enumerate(worker.proxies) if proxy.init == init)
            for row in worker.score(Pass(0, init, index, numbers)):
                assert row.status in ("ok", "nonfinite"), row
                rows[texts[row.proxy]] = row.score
        found.append(rows)
    return found


DIGITS = replace(benchmark("digits"), batch=16)
INDICES = (*DEAD, 9930, 0, *random.Random(8).sample(cell_set("valid"), 1))


def test_scores_are_bit_identical_alone_together_and_in_any_order() -> None:
    """Together means one network with the dead operations too, and with the graph of a backward pass."""
    assert len(DEAD) == 3
    some = INDICES[1:-1]
    together = outcomes(EVERY, some, DIGITS)
    assert outcomes(tuple(reversed(EVERY)), tuple(reversed(some)), DIGITS) == list(reversed(together))
    for text in EVERY:
        alone = outcomes((text,), some, DIGITS)
        assert [rows[text] for rows in alone] == [rows[text] for rows in together], text


def test_the_xautodl_backbone_gives_the_scores_of_our_own() -> None:
    """In float64, where rounding neither flips a ReLU near zero nor is all that is left of what cancels."""
    pytest.importorskip("xautodl.models.cell_infers.tiny_network", reason="xautodl is not installed")
    some = INDICES[2:]
    ours = outcomes(EVERY, some, DIGITS, ExactWorker)
    theirs = outcomes(EVERY, some, replace(DIGITS, backbone="xautodl"), ExactWorker)
    for index, a, b in zip(some, ours, theirs, strict=True):
        for text in EVERY:
            assert a[text] == pytest.approx(b[text], rel=1e-7), f"{text} of {cell_at(index)}"
    assert all(rows["diswot"] is not None and rows["nwot"] is not None for rows in ours[:2])


def test_scores_of_a_function_do_not_count_operations_that_lead_nowhere() -> None:
    """A cell and the cell less its dead operations: proxies that see the function cannot tell them apart."""
    texts = tuple(text for text in EVERY if registry.create(text).sees == "function")
    for index in DEAD:
        live = {edge.position for edge in cell_at(index).live_edges()}
        pruned = Cell(tuple(op if k in live else NONE for k, op in enumerate(cell_at(index).operations)))
        assert pruned != cell_at(index)
        full, less = outcomes(texts, (index, pruned.index), DIGITS)
        assert full == less
        assert None not in full.values()
