"""What a search can do with a space: draw, mutate one choice, look around, and count functions."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest
from scipy import stats

from bench.benchmarks import benchmark
from common.errors import BadInput, BadUsage
from search.cells import cell_space, index_of
from search.choices import Architecture, whole
from search.constraints import Limit, counts, limit, within
from search.latency import Latency, latency, of_record
from spaces.nb201.cell import Cell, cell_at, cells
from spaces.nb201.equivalence import members
from spaces.nb201.sets import cell_set
from spaces.nb201.skeleton import CellSkeleton, count_multiply_adds, count_parameters
from spaces.nb201.space import NB201

SPACE = whole((4, 2, 5))
DRAWS = 6000
SKELETON = CellSkeleton(8, 1, 10, 16)


def distance(a: Architecture, b: Architecture) -> int:
    return sum(x != y for x, y in zip(a, b, strict=True))


def test_a_mutation_changes_one_position_each_equally_likely_then_to_each_other_choice_equally_likely() -> None:
    draw, start = random.Random(1), (3, 0, 2)
    found = Counter(SPACE.mutated(start, draw) for _ in range(DRAWS))
    expected = {}
    for position, size in enumerate(SPACE.sizes):
        for choice in set(range(size)) - {start[position]}:
            changed = list(start)
            changed[position] = choice
            expected[tuple(changed)] = DRAWS / 3 / (size - 1)
    assert set(found) == set(expected)
    assert stats.chisquare([found[one] for one in expected], list(expected.values())).pvalue > 1e-3


def test_every_allowed_architecture_is_drawn_equally_often_and_no_other() -> None:
    space = whole((3, 3), lambda architecture: sum(architecture) < 3)
    found = Counter(space.drawn(draw) for draw in [random.Random(2)] for _ in range(DRAWS))
    assert set(found) == {(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0)} == set(space.allowed)
    assert stats.chisquare(list(found.values())).pvalue > 1e-3


def test_neighbours_are_the_allowed_architectures_at_distance_one() -> None:
    space = whole((4, 2, 5), lambda architecture: sum(architecture) % 3 != 1)
    for here in space.allowed:
        assert sorted(space.neighbours(here)) == [one for one in space.allowed if distance(one, here) == 1]


@pytest.mark.slow
def test_the_cells_are_a_space_of_24_neighbours_each_with_their_classes() -> None:
    space = cell_space(cell_set("all"), "function", NB201)
    assert sorted(space.allowed) == sorted(itertools.product(range(5), repeat=6))
    assert {len(list(space.neighbours(cell_at(index).operations))) for index in (0, 77, 15624)} == {24}
    assert (
        sorted(index_of(one, NB201) for one in space.one_of_each())
        == sorted(members("function"))
        == list(cell_set("functions"))
    )
    assert [index_of(one, NB201) for one in space.allowed] == list(range(15625))


def test_of_a_class_the_first_allowed_cell_stands_for_it_though_another_is_its_lowest() -> None:
    largest = max(members("function").values(), key=len)
    assert [index_of(one, NB201) for one in cell_space(largest[3:9], "function", NB201).one_of_each()] == [largest[3]]


@pytest.mark.parametrize(
    ("text", "most"), [("500000", 500_000), ("500k", 500_000), ("0.5M", 500_000), (".5M", 500_000), ("2G", 2 * 10**9)]
)
def test_limits_are_read_with_their_suffix(text: str, most: int) -> None:
    assert limit("params", text) == Limit("params", most)


@pytest.mark.parametrize("text", ["", "M", "-1", "1e6", "5 M", "half", "1m", "nan", "٣"])
def test_nonsense_is_no_limit(text: str) -> None:
    with pytest.raises(BadUsage, match=r"--max-flops '.*': expected a number, 500000"):
        limit("flops", text)


@pytest.mark.slow
def test_within_keeps_exactly_the_cells_that_meet_every_limit() -> None:
    found = within(range(2000), [Limit("params", 40_000), Limit("flops", 1_000_000)], counts(SKELETON), NB201)
    meets = [
        index
        for index, cell in enumerate(cells()[:2000])
        if count_parameters(cell, SKELETON) <= 40_000 and count_multiply_adds(cell, SKELETON) <= 1_000_000
    ]
    assert found == meets
    assert 0 < len(found) < 2000


def test_a_limit_that_nothing_meets_names_the_least_there_is() -> None:
    least = min(count_parameters(cell, SKELETON) for cell in cells()[:50])
    assert within(range(50), [Limit("params", least)], counts(SKELETON), NB201)
    with pytest.raises(BadUsage, match=f"--max-params {least - 1}: .* the least is {least}$"):
        within(range(50), [Limit("params", least - 1)], counts(SKELETON), NB201)


def test_latency_is_the_base_and_the_live_operations() -> None:
    each = {"skip_connect": 0.5, "nor_conv_1x1": 2.0, "nor_conv_3x3": 10.0, "avg_pool_3x3": 3.0}
    table = Latency(100.0, each, "cpu", 64)
    dead = "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|nor_conv_3x3~2|"
    assert table.of(Cell.parse(dead)) == 102
    live = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|"
    assert table.of(Cell.parse(live)) == 100 + 10 + 0.5 + 3 + 2 + 10
    assert of_record(asdict(table)) == table


@pytest.mark.slow
def test_latency_is_measured_once_and_then_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.latency.ROUNDS", 2)
    first = latency(benchmark("digits"), "cpu", tmp_path)
    assert first.base > 0
    assert sorted(first.operations) == ["avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3", "skip_connect"]
    assert min(first.operations.values()) >= 0
    monkeypatch.setattr("search.latency.measure", lambda *words: pytest.fail("measured again"))
    assert latency(benchmark("digits"), "cpu", tmp_path) == first
    (path,) = tmp_path.iterdir()
    path.write_text('{"base": 1}')
    with pytest.raises(BadInput, match=r"cannot read .*latency-digits-cpu.json .*: remove it to measure again"):
        latency(benchmark("digits"), "cpu", tmp_path)
