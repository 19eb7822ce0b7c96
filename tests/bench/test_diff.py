"""The difference of two stores against what was planted, and pairs turned against Kendall's tau of SciPy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from filled import fill
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from bench.benchmarks import benchmark
from bench.checks.diff import Difference, _turned, diff
from bench.store import ScoreStore
from common.errors import BadInput
from proxies import registry
from tests.conftest import Command

DIGITS = benchmark("digits")


def between(one: Path, other: Path, *proxies: str) -> list[Difference]:
    chosen = [registry.create(proxy) for proxy in proxies]
    return diff(ScoreStore(one, write=False), ScoreStore(other, write=False), DIGITS, chosen)


def test_numbers_orders_and_what_only_one_has(tmp_path: Path) -> None:
    one = fill(tmp_path / "one.sqlite", "nwot", 0, {1: 1.0, 2: 2.0, 3: 4.0, 4: None, 5: None, 6: 9.0})
    other = fill(tmp_path / "other.sqlite", "nwot", 0, {1: 1.0, 2: 5.0, 3: 4.0, 4: 7.0, 5: None, 7: 1.0})
    assert between(one, other, "nwot") == [Difference("nwot", 3, 1, 0.6, 1, 0.5)]
    assert between(other, one, "nwot") == [Difference("nwot", 3, 1, 0.6, 1, 0.2)]
    assert between(one, one, "nwot") == [Difference("nwot", 4, 0, 0.0, 0, 0.0)]


def test_only_seeds_in_common_are_compared(tmp_path: Path) -> None:
    one = fill(tmp_path / "one.sqlite", "nwot", 0, {1: 1.0, 2: 2.0})
    fill(one, "nwot", 1, {1: 3.0, 2: 4.0}, "2026-01-02")
    other = fill(tmp_path / "other.sqlite", "nwot", 1, {1: 4.0, 2: 3.0})
    assert between(one, other, "nwot") == [Difference("nwot", 2, 0, 0.25, 1, 0.25)]


def test_a_tie_in_one_of_them_is_not_turned(tmp_path: Path) -> None:
    one = fill(tmp_path / "one.sqlite", "nwot", 0, {1: 0.0, 2: 0.0, 3: -1.0})
    other = fill(tmp_path / "other.sqlite", "nwot", 0, {1: 1e-3, 2: 0.0, 3: -1.0})
    assert between(one, other, "nwot") == [Difference("nwot", 3, 0, 1.0, 0, 0.0)]


@pytest.mark.slow
@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=2, max_size=30))
def test_turned_pairs_are_those_of_kendall(pairs: list[tuple[float, float]]) -> None:
    a, b = np.array(pairs).T
    turned, _ = _turned(a, b)
    total = len(a) * (len(a) - 1) // 2
    if len(set(a)) == len(a) and len(set(b)) == len(b):
        assert turned == round(total * (1 - kendalltau(a, b).statistic) / 2)
    assert turned == _turned(b, a)[0]
    assert turned + _turned(a, -b)[0] <= total


def test_nothing_in_common_is_said(tmp_path: Path) -> None:
    one = fill(tmp_path / "one.sqlite", "nwot", 0, {1: 1.0})
    other = fill(tmp_path / "other.sqlite", "kd", 0, {1: 1.0})
    with pytest.raises(BadInput, match=r"nwot on digits: .* have no seed of it in common"):
        between(one, other, "nwot")
    elsewhere = fill(tmp_path / "elsewhere.sqlite", "nwot", 0, {2: 1.0})
    with pytest.raises(BadInput, match=r"nwot on digits: .* have no cell of it in common"):
        between(one, elsewhere, "nwot")


@pytest.mark.slow
def test_without_names_what_both_stores_hold_is_compared(tmp_path: Path, command: Command) -> None:
    one = fill(tmp_path / "one.sqlite", "nwot", 0, {1: 1.0, 2: 2.0})
    fill(one, "params", 0, {1: 1.0}, "2026-01-02")
    fill(one, "diswot:variant=paper", 0, {1: 1.0}, "2026-01-03")
    fill(one, "snip", 0, {1: 1.0}, "2026-01-04")
    other = fill(tmp_path / "other.sqlite", "kd", 0, {1: 1.0})
    fill(other, "nwot", 0, {1: 2.0, 2: 1.0}, "2026-01-02")
    fill(other, "diswot:variant=paper", 0, {1: 2.0}, "2026-01-03")
    fill(other, "snip", 1, {1: 1.0}, "2026-01-04")
    found = json.loads(command("bench", "diff", other, "--store", one, "--json").out)
    assert [(entry["proxy"], entry["cells"]) for entry in found] == [("diswot:variant=paper", 1), ("nwot", 2)]
    assert "nwot on digits" not in command("bench", "diff", other, "kd", "--store", one).error
    nothing = fill(tmp_path / "nothing.sqlite", "kd", 0, {1: 1.0})
    assert command("bench", "diff", nothing, "--store", one).error == (
        f"{one} and {nothing} have no scores on digits in common"
    )


@pytest.mark.slow
def test_the_command_prints_a_table_and_json(tmp_path: Path, command: Command) -> None:
    one = fill(tmp_path / "one.sqlite", "nwot", 0, {1: 1.0, 2: 2.0})
    other = fill(tmp_path / "other.sqlite", "nwot", 0, {1: 2.0, 2: 1.0})
    shown = command("bench", "diff", str(other), "nwot", "--store", str(one))
    assert shown.code == 0
    assert shown.out.split()[-6:] == ["nwot", "2", "0", "5.0e-01", "1", "5.0e-01"]
    found = json.loads(command("bench", "diff", str(other), "nwot", "--store", str(one), "--json").out)
    assert found == [{"proxy": "nwot", "cells": 2, "one": 0, "largest": 0.5, "turned": 1, "gap": 0.5}]


def test_a_store_that_is_not_there(tmp_path: Path, command: Command) -> None:
    one = fill(tmp_path / "one.sqlite", "nwot", 0, {1: 1.0})
    shown = command("bench", "diff", str(tmp_path / "none.sqlite"), "nwot", "--store", str(one))
    assert shown.code in (1, 2)
    assert len(shown.err.splitlines()) == 1
    assert "none.sqlite" in shown.err
