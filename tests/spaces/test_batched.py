"""Cells run together show what each shows alone: the one-at-a-time path is the reference."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.benchmarks import benchmark
from bench.measure.speed import NoiseSetup
from bench.plan import Pass
from bench.worker import Outcome, Worker
from images.base import Batch
from probe.batched import Group, GroupProbe
from probe.needs import BACKWARD, READS_BATCH
from probe.network import Probe
from proxies import registry
from proxies.registry import create
from proxies.testing import DEGENERATE, ORDINARY, make_batch
from spaces.draw import Draw
from spaces.nb201.batched import Batched
from spaces.nb201.cell import Cell, cells
from spaces.nb201.network import CellNetwork
from spaces.nb201.skeleton import CellSkeleton

pytestmark = pytest.mark.slow

SKELETON = CellSkeleton(channels=4, cells_per_stage=2, classes=5, size=8)
DEAD = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
ODD = [*ORDINARY, *DEGENERATE, DEAD]
SEES = ("function", "relus", "executed")


def exact_batch() -> Batch:
    batch = make_batch(6)
    return Batch(batch.images.double(), batch.labels, batch.hash)


def pairs(
    texts: Sequence[str], needs: Sequence[str], sees: str, init: str = "default", at_once: bool = False
) -> list[tuple[GroupProbe, Probe]]:
    """For each cell its probe in a group and by itself, in float64, of the same weights and images."""
    batch, chosen = exact_batch(), [Cell.parse(text) for text in texts]
    draw = Draw(0, init, momentum=0.0)
    for cell in chosen:
        CellNetwork(cell, SKELETON, draw, sees)  # so that every weight is drawn
    for leaf in draw._leaves.values():
        leaf.double()
    generator = torch.Generator().manual_seed(1)
    for leaf in draw._leaves.values():  # batch norms that do something, or their parts could be mixed up
        if isinstance(leaf, torch.nn.BatchNorm2d):
            for values in (leaf.weight, leaf.bias):
                values.data += 0.3 * torch.randn(values.shape, generator=generator, dtype=torch.float64)
    engine = Batched(SKELETON, draw)
    engine.at_once = at_once
    group = Group(chosen, SKELETON, lambda _: engine, sees, lambda: batch, needs, {})
    alone = [
        Probe(cell, SKELETON, lambda cell=cell: CellNetwork(cell, SKELETON, draw, sees), lambda: batch, needs)
        for cell in chosen
    ]
    return [(GroupProbe(group, number, probe), probe) for number, probe in enumerate(alone)]


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def compare(mine: Probe, alone: Probe) -> None:
    """Everything that both were asked for."""
    needs = mine.needs
    if "forward" in needs:
        close(mine.logits, alone.logits)
        close(mine.pooled, alone.pooled)
        close(mine.loss, alone.loss)
        close(mine.classifier_gradient, alone.classifier_gradient)
        for a, b in zip(mine.features, alone.features, strict=True):
            close(a, b)
    if "relu_codes" in needs:
        assert [uses for _, uses in mine.relu_codes] == [uses for _, uses in alone.relu_codes]
        assert all(torch.equal(a.code, b.code) for a, b in zip(mine.relu_codes, alone.relu_codes, strict=True))
    if "relu_kernel" in needs:
        assert torch.equal(mine.relu_kernel, alone.relu_kernel)
    if "blocks" in needs:
        for a, b in zip(mine.blocks, alone.blocks, strict=True):
            close(a, b)
    for need in ("gradients", "gate_gradients", "hessian_gradient"):
        if need in needs:
            found, wanted = getattr(mine, need), getattr(alone, need)
            assert list(found) == list(wanted)
            for name in wanted:
                close(found[name], wanted[name])
    if "input_gradients" in needs:
        close(mine.input_gradients, alone.input_gradients)
    if "block_gradients" in needs:
        for c, d in zip(mine.block_gradients, alone.block_gradients, strict=True):
            assert torch.equal(c.output, d.output)
            close(c.input, d.input)


@pytest.mark.parametrize("at_once", [False, True])  # as on a CPU, as on a GPU
@pytest.mark.parametrize("sees", SEES)
@pytest.mark.parametrize("needs", [("forward", "relu_codes", "relu_kernel", "blocks"), (*READS_BATCH, "weights")])
def test_a_group_shows_of_each_cell_what_it_shows_alone(needs: tuple[str, ...], sees: str, at_once: bool) -> None:
    sample = [str(cell) for cell in random.Random(3).sample(cells(), 6)]
    for mine, alone in pairs([*ODD, *sample, sample[0]], needs, sees, at_once=at_once):
        compare(mine, alone)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_shows_what_a_cpu_shows() -> None:
    chosen = [Cell.parse(text) for text in ODD]
    needs = ("forward", "gradients", "input_gradients")
    found = []
    for device in ("cpu", "cuda"):
        batch = make_batch(16)
        there = Batch(batch.images.to(device), batch.labels.to(device), batch.hash)
        engine = Batched(SKELETON, Draw(0, momentum=0.0, device=device))
        run, load = (lambda _, engine=engine: engine), (lambda there=there: there)
        group = Group(chosen, SKELETON, run, "executed", load, needs, {})
        found.append(
            [
                GroupProbe(group, number, Probe(cell, SKELETON, no_network, load, needs))
                for number, cell in enumerate(chosen)
            ]
        )
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine.logits, other.logits.cpu(), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(mine.input_gradients, other.input_gradients.cpu(), rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("need", [*READS_BATCH])
def test_each_need_alone_is_met(need: str) -> None:
    for mine, alone in pairs(ODD, ("forward", need), "executed", "kaiming"):
        compare(mine, alone)


@settings(max_examples=25)
@given(
    st.lists(st.integers(0, len(cells()) - 1), min_size=1, max_size=6),
    st.sampled_from(SEES),
    st.sampled_from([("forward", "relu_kernel"), ("forward", *BACKWARD)]),
)
def test_any_cells_in_any_company(chosen: list[int], sees: str, needs: tuple[str, ...]) -> None:
    for mine, alone in pairs([str(cells()[index]) for index in chosen], needs, sees):
        compare(mine, alone)


def test_what_a_cell_shows_does_not_depend_on_its_company() -> None:
    """To the bit, in float32: else scores would depend on what a run had still to do."""
    chosen = random.Random(5).sample(cells(), 9)
    engine, batch = Batched(SKELETON, Draw(0, momentum=0.0)), make_batch(16)
    for needs in (("forward", "relu_kernel"), ("forward", "gradients", "input_gradients", "gate_gradients")):
        together, alone = (
            [
                GroupProbe(
                    Group(company, SKELETON, lambda _: engine, "function", lambda: batch, needs, {}),
                    number,
                    Probe(cell, SKELETON, no_network, lambda: batch, needs),
                )
                for number, cell in enumerate(company)
            ]
            for company in (chosen, chosen[4:5])
        )
        mine, other = together[4], alone[0]
        assert torch.equal(mine.logits, other.logits)
        for a, b in zip(mine.features, other.features, strict=True):
            assert torch.equal(a, b)
        if "relu_kernel" in needs:
            assert torch.equal(mine.relu_kernel, other.relu_kernel)
        else:
            assert torch.equal(mine.input_gradients, other.input_gradients)
            assert all(torch.equal(mine.gradients[name], value) for name, value in other.gradients.items())
            assert all(torch.equal(mine.gate_gradients[name], value) for name, value in other.gate_gradients.items())


def no_network() -> torch.nn.Module:
    raise AssertionError("a network was built")


def scores(together: int, proxies: Sequence[str], chosen: Sequence[int]) -> tuple[Worker, list[Outcome]]:
    worker = NoiseSetup(benchmark("digits"), tuple(map(create, proxies)), (), None, "cpu", together=together)()
    by_init: dict[str, list[int]] = {}
    for number, proxy in enumerate(worker.proxies):
        by_init.setdefault(proxy.init, []).append(number)
    passes = [Pass(0, init, cell, tuple(numbers)) for init, numbers in by_init.items() for cell in chosen]
    return worker, worker.score_all(passes)


LOOSER = {"plain": 1e-3, "zico": 5e-3}
"""Both carry float32's rounding: plain is a sum of both signs that nearly cancels, zico divides by the difference of
nearly equal gradients. In float64 what they read is compared above."""


def test_every_proxy_scores_in_company_as_alone() -> None:
    proxies = [name for name, cls in registry.known().items() if cls.needs]
    chosen = [1462, *random.Random(8).sample(range(len(cells())), 2), Cell.parse(DEGENERATE[0]).index]
    (alone, wanted), (_, found) = scores(1, proxies, chosen), scores(7, proxies, chosen)
    assert len(wanted) == len(proxies) * len(chosen)
    for mine, other in zip(
        sorted(found, key=lambda outcome: outcome[:3]), sorted(wanted, key=lambda outcome: outcome[:3]), strict=True
    ):
        name = alone.proxies[mine.proxy].name
        assert (*mine[:3], mine.status) == (*other[:3], other.status), name
        if other.score is not None:
            assert mine.score == pytest.approx(other.score, rel=LOOSER.get(name, 1e-5), abs=1e-7), (name, mine.cell)


def test_where_memory_does_not_suffice_fewer_run_together(monkeypatch: pytest.MonkeyPatch) -> None:
    run, sizes = Batched.run, []

    def limited(self: Batched, group: Sequence[Cell], *others: object) -> object:
        sizes.append(len(group))
        if len(group) > 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return run(self, group, *others)  # type: ignore[arg-type]

    _, wanted = scores(16, ["nwot", "diswot"], range(12))
    monkeypatch.setattr(Batched, "run", limited)
    worker, found = scores(16, ["nwot", "diswot"], range(12))
    assert found == wanted
    assert worker.together == 3
    assert max(sizes) == 12
    sizes.clear()
    worker.score_all([Pass(1, "default", cell, (0, 1)) for cell in range(6)])
    assert sizes == [3, 3]


def test_a_failure_in_company_is_only_that_of_who_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    run, bad = Batched.run, Cell.parse(ODD[0])

    def failing(self: Batched, group: Sequence[Cell], *others: object) -> object:
        if bad in group:
            raise RuntimeError("this one")
        return run(self, group, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(Batched, "run", failing)
    _, found = scores(16, ["nwot"], [0, 1, bad.index, 3])
    assert [outcome.status for outcome in found] == ["ok", "ok", "error", "ok"]
    assert "this one" in found[2].reason
