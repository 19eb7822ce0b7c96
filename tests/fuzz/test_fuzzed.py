"""Parsers give a value or raise BadInput: here on what they take, changed at random; `make fuzz` looks for longer."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from targets import good, targets, tried

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", sorted(targets()))
def test_what_it_takes_is_taken(name: str, tmp_path: Path) -> None:
    for data in good(name):
        targets()[name].parse(data, tmp_path)


@pytest.mark.parametrize("name", sorted(targets()))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_it_does_not_take_is_told(name: str, tmp_path: Path, data: st.DataObject) -> None:
    taken = data.draw(st.sampled_from(good(name)))
    start = data.draw(st.integers(0, len(taken)))
    length = data.draw(st.integers(0, min(8, len(taken) - start)))
    between = data.draw(
        st.binary(max_size=8) | st.sampled_from([b"\x00", b"\xff", b"nan", b"-1", b"1e999", b",", b"\n"])
    )
    tried(name, taken[:start] + between + taken[start + length :], tmp_path)
