"""Every promise of docs/trust.md names tests, and there are tests of these names."""

from __future__ import annotations

import re

from conftest import ROOT

PAGE = ROOT / "docs" / "trust.md"


def test_each_promise_has_a_test() -> None:
    text = PAGE.read_text(encoding="utf-8")
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.M)
    }
    promises = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| promise")]
    assert len(promises) > 15
    for promise in promises:
        named = re.findall(r"`(test_\w+)`", promise.rsplit(" | ", 1)[1])
        assert named, promise
        assert set(named) <= there, set(named) - there
    assert len(text.splitlines()) < 90
