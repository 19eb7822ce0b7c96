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
