"""Cells: official strings and order, named sets, live edges, and what malformed input answers."""

from __future__ import annotations

import csv
import os
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BadUsage
from spaces.nb201.cell import EDGES, NONE, OPERATIONS, Cell, cell_at, cells, resolve
from spaces.nb201.sets import SETS, cell_set

FIRST = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"

T = TypeVar("T")

any_cell = st.tuples(*[st.integers(0, 4)] * 6).map(Cell)


def genotypes() -> ModuleType:
    return pytest.importorskip("xautodl.models.cell_searchs.genotypes", reason="xautodl is not installed")


@cache
def published(name: str) -> list[dict[str, str]]:
    """Rows of a file of published results, or skip."""
    file = Path(os.environ.get("DISWOT_DATA", "")) / "nb201" / name
    if "DISWOT_DATA" not in os.environ or not file.exists():
        pytest.skip(f"set DISWOT_DATA to a folder with nb201/{name}")
    with file.open(newline="") as rows:
        return list(csv.DictReader(rows))


def test_index_0_is_the_published_cell() -> None:
    assert str(cell_at(0)) == FIRST
    assert Cell.parse(FIRST).index == 0


@pytest.mark.slow
def test_cells_are_all_combinations_once() -> None:
    assert len({str(cell) for cell in cells()}) == len(set(cells())) == 5**6 == len(cells())


@pytest.mark.slow
def test_index_order_equals_the_order_of_published_accuracies() -> None:
    rows = published("cifar100_test_accuracy.csv")
    assert [(int(row["index"]), row["arch"]) for row in rows] == [(k, str(cell)) for k, cell in enumerate(cells())]


@pytest.mark.slow
def test_index_order_equals_xautodls_enumeration_shuffled_with_seed_88() -> None:
    enumerated = genotypes().Structure.gen_all(list(OPERATIONS), 4, True)
    random.Random(88).shuffle(enumerated)
    assert [tuple(nodes) for nodes in enumerated] == [
        tuple(
            tuple((OPERATIONS[e.operation], e.source) for e in cell.edges() if e.target == node) for node in (1, 2, 3)
        )
        for cell in cells()
    ]


@pytest.mark.slow
def test_sizes_of_the_sets() -> None:
    assert [len(cell_set(name)) for name in SETS] == [15625, 9445, 6466, 5044]


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_sets_are_ascending(name: str) -> None:
    assert list(cell_set(name)) == sorted(set(cell_set(name)))


@pytest.mark.slow
def test_valid_cells_are_those_of_the_published_scores() -> None:
    rows = published("reference_scores_cifar10.csv")
    assert [row["arch"] for row in rows] == [str(cell_at(index)) for index in cell_set("valid")]


@pytest.mark.slow
def test_unique_strings_group_the_cells_as_xautodls_do() -> None:
    parse = genotypes().Structure.str2structure
    pairs = {(cell.unique_string(), parse(str(cell)).to_unique_str(True)) for cell in cells()}
    assert len(pairs) == len({ours for ours, _ in pairs}) == len({theirs for _, theirs in pairs}) == 6466


@pytest.mark.slow
def test_unique_keeps_the_lowest_index_of_each_string() -> None:
    lowest: dict[str, int] = {}
    for index in reversed(range(len(cells()))):
        lowest[cell_at(index).unique_string()] = index
    assert set(cell_set("unique")) == set(lowest.values())


def walks(operations: tuple[int, ...], node: int = 0) -> list[tuple[int, ...]]:
    """Every walk from `node` to node 3 over operations other than `none`, as edge positions."""
    if node == 3:
        return [()]
    return [
        (edge, *rest)
        for edge, (source, target) in enumerate(EDGES)
        if source == node and operations[edge] != NONE
        for rest in walks(operations, target)
    ]


@pytest.mark.slow
def test_live_edges_are_those_on_a_walk_from_input_to_output() -> None:
    for cell in cells():
        walked = {edge for walk in walks(cell.operations) for edge in walk}
        live = cell.live_edges()
        assert [edge.position for edge in live] == sorted(walked)
        assert all((edge.source, edge.target) == EDGES[edge.position] for edge in live)
        assert all(edge.operation == cell.operations[edge.position] for edge in live)
        assert cell.is_valid() == (walked == {k for k, operation in enumerate(cell.operations) if operation != NONE})


@pytest.mark.slow
@given(any_cell)
def test_printing_and_parsing_are_inverse(cell: Cell) -> None:
    assert Cell.parse(str(cell)) == cell
    assert Cell.parse(f" {cell}\n") == cell
    assert resolve(str(cell)) == cell.index


@pytest.mark.slow
@given(st.integers(0, 15624))
def test_an_index_is_that_of_its_cell(index: int) -> None:
    assert cell_at(index).index == index
    assert resolve(f" {index} ") == index


def result_or_one_line(function: Callable[[str], T], text: str) -> T | None:
    """None if the answer is one line of BadUsage; any other error is the test's failure."""
    try:
        return function(text)
    except BadUsage as error:
        message = str(error)
    assert len(message.splitlines()) == 1
    return None


pieces = st.sampled_from([*OPERATIONS, "conv", "~", "|", "+", "0", "1", "2", "3", "٢", "", " ", "\n", "\0", "|none~0|"])


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A cell's string with a slice replaced."""
    text = str(draw(any_cell))
    start = draw(st.integers(0, len(text)))
    stop = draw(st.integers(start, min(start + 20, len(text))))
    return text[:start] + draw(pieces | st.text(max_size=3)) + text[stop:]


@pytest.mark.slow
@given(st.text() | damaged() | st.lists(pieces, max_size=30).map("".join))
def test_parsing_accepts_official_strings_and_answers_anything_else_with_bad_usage(text: str) -> None:
    cell = result_or_one_line(Cell.parse, text)
    assert cell is None or str(cell) == text.strip()


@pytest.mark.slow
@given(st.text() | st.text("+-0123456789٢ ") | damaged())
def test_resolving_answers_anything_but_cells_and_indices_with_bad_usage(text: str) -> None:
    index = result_or_one_line(resolve, text)
    assert index is None or text.strip() == str(cell_at(index)) or int(text) == index


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "three nodes joined by '+' expected, found 1"),
        ("|none~0|+|none~0|none~1|", "found 2"),
        ("|none~0|\n+|none~0|none~1|", "found 2"),
        ("|none~0|+|none~0|none~1|+", "node 3 is ''"),
        ("|x~0|+|none~0|none~1|+\n", "unknown operation"),
        ("|none~0|+none~0|none~1|+|none~0|none~1|none~2|", "node 2 is 'none~0|none~1|'"),
        ("|none~0|+|none~1|none~0|+|none~0|none~1|none~2|", "node 2 must take one operation from each of 0, 1"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|", "node 3 must take one operation from each of 0, 1, 2"),
        (FIRST.replace("avg_pool_3x3", "avg_pool_3x2"), "did you mean 'avg_pool_3x3'"),
        (FIRST.replace("avg_pool_3x3", "x"), "known: avg_pool_3x3, none, nor_conv_1x1, nor_conv_3x3, skip_connect"),
    ],
)
def test_a_malformed_cell_is_told_in_one_line_which_part_is_wrong(text: str, said: str) -> None:
    with pytest.raises(BadUsage) as caught:
        Cell.parse(text)
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("text", ["15625", "-1", "9" * 10_000])
def test_an_index_out_of_range_is_bad_usage(text: str) -> None:
    with pytest.raises(BadUsage):
        resolve(text)


def test_an_unknown_set_is_bad_usage_with_a_suggestion() -> None:
    with pytest.raises(BadUsage, match="did you mean 'functions'"):
        cell_set("function")
