"""What cells of a draw have in common is computed once, and nothing shows of it but the time."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable

import pytest
import torch

from bench.benchmarks import benchmark
from bench.measure.speed import NoiseSetup
from bench.plan import Pass
from bench.worker import Outcome
from probe.needs import BACKWARD
from probe.network import Probe
from proxies import registry
from proxies.registry import create
from proxies.testing import DEGENERATE, ORDINARY, make_batch
from spaces.draw import Draw
from spaces.kept import Keep, Kept
from spaces.nb201.cell import KERNEL, Cell, cells
from spaces.nb201.network import CellBlock, CellNetwork
from spaces.nb201.sets import cell_set
from spaces.nb201.skeleton import CellSkeleton

pytestmark = pytest.mark.slow

SKELETON = CellSkeleton(channels=4, cells_per_stage=2, classes=5, size=8)
DEAD = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
ZEROS = "|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|nor_conv_3x3~1|skip_connect~2|"
CELLS = [*map(Cell.parse, [*ORDINARY, *DEGENERATE, DEAD, ZEROS]), *random.Random(4).sample(cells(), 30)]
MAP = 6 * SKELETON.channels * SKELETON.size**2 * 4
"""Bytes of one of the first stage."""
ROOMS = [0, 5 * MAP, 2**26]
NEEDS = ("forward", "relu_codes", "relu_kernel", "blocks")


def shown(probe: Probe) -> list[torch.Tensor]:
    """All that a probe without derivatives shows."""
    codes = [tensor for code, uses in probe.relu_codes for tensor in (code, torch.tensor(uses))]
    return [probe.logits, probe.pooled, *probe.features, *codes, probe.relu_kernel, *probe.blocks]


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("needs", [("forward",), NEEDS])
def test_a_cell_shows_the_same_whatever_was_kept_before(needs: tuple[str, ...], room: int) -> None:
    """To the bit, at every level of what is seen, and in an order in which each level meets what others have kept."""
    draw, batch, kept = Draw(0, "kaiming", momentum=0.0), make_batch(6), Kept(room)
    passes = [(cell, sees) for cell in CELLS for sees in ("function", "relus", "executed")]
    random.Random(1).shuffle(passes)
    for cell, sees in passes:

        def build(cell: Cell = cell, sees: str = sees) -> torch.nn.Module:
            return CellNetwork(cell, SKELETON, draw, sees)

        mine = Probe(cell, SKELETON, build, lambda: batch, needs, kept=kept.of)
        alone = Probe(cell, SKELETON, build, lambda: batch, needs)
        if needs == NEEDS:
            pairs = list(zip(shown(mine), shown(alone), strict=True))
            assert all(torch.equal(*pair) for pair in pairs), (str(cell), sees)
        else:
            assert torch.equal(mine.logits, alone.logits), (str(cell), sees)
        assert kept.size <= room


def test_all_functions_have_174_convolutions_of_the_first_cell() -> None:
    draw, images = Draw(0, momentum=0.0), torch.randn(1, 1, 2, 2)
    block = next(CellSkeleton(channels=1, cells_per_stage=1, classes=2, size=2).blocks())
    made: list[Hashable] = []
    kept = Kept(2**20)

    def keep(key: Hashable, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        return kept(key, lambda: made.append(key) or make())  # type: ignore[func-returns-value]

    asked = 0
    with torch.no_grad():
        for index in cell_set("functions"):
            edges = cells()[index].live_edges()
            CellBlock(block, edges, draw)(images, keep)
            asked += sum(edge.operation in KERNEL for edge in edges)
    assert (len(made), asked) == (174, 15514)


def test_another_draw_another_batch_and_another_size_share_nothing() -> None:
    kept = Kept(2**26)
    wider = CellSkeleton(channels=8, cells_per_stage=2, classes=5, size=8)

    def logits(seed: int, skeleton: CellSkeleton, kept: Callable[..., Keep] | None) -> torch.Tensor:
        draw, batch = Draw(seed, momentum=0.0), make_batch(6, seed=seed % 2)
        build = lambda: CellNetwork(CELLS[0], skeleton, draw)  # noqa: E731
        return Probe(CELLS[0], skeleton, build, lambda: batch, ("forward",), kept=kept).logits

    for seed, skeleton in ((0, SKELETON), (1, SKELETON), (2, SKELETON), (0, wider), (0, SKELETON)):

        def of(*what: Hashable, seed: int = seed) -> Keep:
            return kept.of(seed, *what)

        assert torch.equal(logits(seed, skeleton, of), logits(seed, skeleton, None))


def test_who_differentiates_reads_nothing_of_others() -> None:
    def nothing(*_: Hashable) -> Keep:
        raise AssertionError("what others made was asked for")

    batch = make_batch(6)
    for need in BACKWARD:
        build = lambda: CellNetwork(CELLS[0], SKELETON, Draw(0, momentum=0.0))  # noqa: E731
        probe = Probe(CELLS[0], SKELETON, build, lambda: batch, ("forward", need), kept=nothing)
        assert probe.logits.isfinite().all()


def test_what_nobody_asked_for_longest_goes_first() -> None:
    kept, made = Kept(2 * 4), []

    def ask(key: str) -> None:
        kept(key, lambda: made.append(key) or torch.zeros(1))  # type: ignore[func-returns-value]

    for key in "abacabb":
        ask(key)
        assert kept.size <= kept.room
    assert made == ["a", "b", "c", "b"]
    kept.clear()
    assert kept.size == 0
    ask("b")
    assert made[-1] == "b"


def scored(room: int, passes: list[Pass], proxies: tuple[str, ...]) -> dict[tuple[int, int], Outcome]:
    setting = NoiseSetup(benchmark("digits"), tuple(map(create, proxies)), (), None, "cpu", together=1, room=room)
    return {(one.proxy, one.cell): one for one in setting().score_all(passes)}


def test_no_score_depends_on_what_is_kept_or_on_the_order() -> None:
    """Nor on who reads with it: of all proxies in one run, and in another order with no room at all."""
    proxies = tuple(name for name, cls in registry.known().items() if cls.needs)
    chosen = [cell.index for cell in CELLS[:4]]
    by_init: dict[str, list[int]] = {}
    for number, name in enumerate(proxies):
        by_init.setdefault(create(name).init, []).append(number)
    passes = [Pass(0, init, cell, tuple(numbers)) for init, numbers in by_init.items() for cell in chosen]
    found, without = scored(2**26, passes, proxies), scored(0, passes[::-1], proxies)
    assert found == without
    forward = [one for one in passes if one.init == "default"]
    again = scored(2**22, [one._replace(proxies=(number,)) for one in forward for number in one.proxies], proxies)
    assert again == {key: found[key] for key in again}


def test_what_runs_one_at_a_time_by_default_has_the_scores_of_groups() -> None:
    """To the bit: scores of small networks that are stored were made in groups."""
    for proxies in (("diswot", "nwot"), ("linear_regions",), ("diswot", "snip")):
        passes = [Pass(2, "default", cell, tuple(range(len(proxies)))) for cell in (88, *cell_set("functions")[:8])]
        found = [
            NoiseSetup(benchmark("digits"), tuple(map(create, proxies)), (), None, "cpu", together=together)()
            for together in (None, 4)
        ]
        assert sorted(found[0].score_all(passes)) == sorted(found[1].score_all(passes)), proxies
