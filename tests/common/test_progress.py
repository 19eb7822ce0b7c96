"""The lines that long work prints where there is no terminal."""

from __future__ import annotations

import pytest

from common import progress
from common.progress import Progress


def test_work_that_is_slow_to_begin_prints_no_rate_before_it_has_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    with Progress("work", 4, "steps") as bar:
        bar.advance(0)
        assert capsys.readouterr().err == ""
        bar.advance(1)
        assert capsys.readouterr().err.startswith("work: 1/4, ")


def test_what_stands_beside_is_asked_so_seldom_that_it_costs_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock, spent, asked = [0.0], 0.5, [0]

    def beside() -> str:
        clock[0] += spent
        asked[0] += 1
        return f"said {asked[0]}"

    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with Progress("work", 1000, "steps", beside) as bar:
        for _ in range(1000):
            clock[0] += 1.0
            bar.advance(1)
    assert asked[0] * spent < 0.01 * clock[0]
    assert asked[0] > 5, "it is told anew as the work goes on"
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith(", said 1")
    assert lines[-2].endswith(f", said {asked[0]}")


def test_a_first_question_that_takes_long_is_asked_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, asked = [0.0], []

    def beside() -> str:
        asked.append(clock[0])
        clock[0] += 2.0 if len(asked) == 1 else 0.001  # the first loads what it asks with
        return ""

    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with Progress("work", 1000, "units", beside) as bar:
        for _ in range(100):
            clock[0] += 1.0
            bar.advance(1)
    assert len(asked) > 50
