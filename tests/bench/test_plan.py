"""What is scored, in which order, and that passes cover exactly what is wanted, once."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.plan import Want, passes, select, visiting_order
from common.errors import BadInput, BadUsage
from proxies.diswot import DisWOT
from proxies.nwot import NWOT
from proxies.params import Params
from spaces.nb201.cell import cell_at, cells
from spaces.nb201.equivalence import members, representatives
from spaces.nb201.sets import SETS, cell_set
from spaces.nb201.space import NB201

PROXIES = (DisWOT(), NWOT(), Params(), DisWOT(init="kaiming"), NWOT(init="kaiming"))
"""One of each thing a proxy can see, two initialisations."""

BIG = sorted(members("function").values(), key=len)[-12:]
POOL = [cell for group in BIG for cell in group[:6]] + random.Random(0).sample(range(len(cells())), 30)
"""Cells that often share a class, and some that hardly do."""

some_cells = st.lists(st.sampled_from(POOL), unique=True, max_size=25)
some_wants = st.lists(
    st.tuples(st.integers(0, len(PROXIES) - 1), st.integers(0, 3), some_cells),
    unique_by=lambda want: want[:2],
    max_size=8,
).map(lambda wants: [Want(*want) for want in wants])


def represented(want: Want) -> set[tuple[int, str, int]]:
    proxy = PROXIES[want.proxy]
    return {(want.seed, proxy.init, representatives(proxy.sees)[cell]) for cell in want.cells}


@pytest.mark.slow
@settings(max_examples=150)
@given(some_wants)
def test_every_wanted_cell_is_covered_once_for_each_proxy_and_nothing_else_is(wants: list[Want]) -> None:
    covered = Counter(
        (task.seed, task.init, task.cell, number) for task in passes(wants, PROXIES, NB201) for number in task.proxies
    )
    needed = {(*key, want.proxy) for want in wants for key in represented(want)}
    assert covered == dict.fromkeys(needed, 1)


@pytest.mark.slow
@settings(max_examples=150)
@given(some_wants)
def test_no_pass_is_run_twice_and_proxies_that_can_share_one_do(wants: list[Want]) -> None:
    keys = [(task.seed, task.init, task.cell) for task in passes(wants, PROXIES, NB201)]
    assert len(set(keys)) == len(keys)
    assert set(keys) == set().union(*map(represented, wants))


@pytest.mark.slow
@settings(max_examples=150)
@given(some_wants)
def test_passes_are_grouped_by_seed_and_name_proxies_in_order(wants: list[Want]) -> None:
    tasks = passes(wants, PROXIES, NB201)
    assert [task.seed for task in tasks] == sorted(task.seed for task in tasks)
    assert all(list(task.proxies) == sorted(task.proxies) for task in tasks)


@pytest.mark.slow
@settings(max_examples=100)
@given(some_cells, st.sampled_from(range(len(PROXIES))))
def test_passes_of_one_proxy_come_in_the_order_of_the_cells(wanted: list[int], number: int) -> None:
    stands_for = representatives(PROXIES[number].sees)
    tasks = passes([Want(number, 0, wanted)], PROXIES, NB201)
    assert [task.cell for task in tasks] == list(dict.fromkeys(stands_for[cell] for cell in wanted))


@pytest.mark.parametrize("number", range(3))
def test_a_sweep_takes_one_pass_a_class(number: int) -> None:
    classes = set(representatives(PROXIES[number].sees))
    assert {task.cell for task in passes([Want(number, 0, range(len(cells())))], PROXIES, NB201)} == classes


def test_a_second_proxy_that_sees_as_much_costs_no_pass() -> None:
    wanted = visiting_order(NB201)[:300]
    alone = passes([Want(0, 0, wanted)], [DisWOT(), DisWOT(variant="paper")], NB201)
    both = passes([Want(0, 0, wanted), Want(1, 0, wanted)], [DisWOT(), DisWOT(variant="paper")], NB201)
    assert [task._replace(proxies=(0, 1)) for task in alone] == both


def test_the_visiting_order_is_a_permutation_that_never_changes() -> None:
    order = visiting_order(NB201)
    assert sorted(order) == list(range(15625))
    assert order[:8] == (9785, 821, 5370, 8740, 7301, 10320, 5277, 3655), "stored prefixes would no longer be prefixes"


@pytest.mark.slow
def test_a_prefix_of_the_visiting_order_is_no_special_part_of_the_space() -> None:
    share = sum(cell in set(cell_set("valid")) for cell in visiting_order(NB201)[:1000]) / 1000
    assert share == pytest.approx(9445 / 15625, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_a_named_set_is_visited_in_order_and_a_limit_is_a_prefix(name: str) -> None:
    chosen = select(name, NB201)
    assert sorted(chosen) == list(cell_set(name))
    ranks = {cell: rank for rank, cell in enumerate(visiting_order(NB201))}
    assert all(ranks[a] < ranks[b] for a, b in itertools.pairwise(chosen))
    assert select(name, NB201, 10) == chosen[:10]
    assert select(name, NB201, 10**6) == chosen


def test_a_file_names_cells_by_index_or_string_with_comments_and_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "cells.txt"
    path.write_text(f"# the ones I like\n17\n\n  {cell_at(99)}  \n   # indented\n17\n0\n")
    assert sorted(select(str(path), NB201)) == [0, 17, 99]
    assert select(str(path), NB201) == [cell for cell in visiting_order(NB201) if cell in (0, 17, 99)]
    assert select(str(path), NB201, 2) == select(str(path), NB201)[:2]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("15625", "cell index 15625 is out of range"),
        ("-1", "cell index -1 is out of range"),
        ("|none~0|", "malformed cell"),
        ("|nor_conv_3x4~0|+|none~0|none~1|+|none~0|none~1|none~2|", "did you mean 'nor_conv_3x3'"),
        ("3 # three", "malformed cell"),
    ],
)
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, line: str, expected: str) -> None:
    path = tmp_path / "cells.txt"
    path.write_text(f"# header\n5\n{line}\n6\n")
    with pytest.raises(BadUsage) as caught:
        select(str(path), NB201)
    assert str(caught.value).startswith(f"{path}, line 3: ")
    assert expected in str(caught.value)


def test_a_file_without_cells_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cells.txt"
    path.write_text("# nothing yet\n\n")
    with pytest.raises(BadInput, match="names no cell"):
        select(str(path), NB201)


@pytest.mark.parametrize("which", ["functoins", "no/such/file.txt", "."])
def test_what_is_neither_set_nor_file_is_refused(which: str) -> None:
    with pytest.raises(BadUsage, match=r"neither a cell set .*all, valid, unique, functions.* nor a file"):
        select(which, NB201)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cells.bin"
    path.write_bytes(b"\x89PNG\r\n\xff\xfe\x00")
    with pytest.raises(BadInput, match=r"cells\.bin"):
        select(str(path), NB201)
