"""The cost of a look-ahead is measured on the very passes that a search makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from distill.comparison import Pair
from distill.pathways import between
from distill.search_speed import measure
from images import digits


def test_ratios_are_to_a_forward_and_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "SCENES", {"val": 40, "test": 60})
    passes = measure(Pair("digits-rehearsal", "1649"), between(["stage1", "pooled"], ["T1"]), rounds=2)
    assert [one.name for one in passes] == ["forward and backward", "forward", "forward mode", "step of the search"]
    for one in passes:
        assert one.seconds > 0
        assert one.ratio == pytest.approx(one.seconds / passes[0].seconds)
    # a step holds a forward and backward pass, another of held-out images, and one in forward mode
    assert passes[3].seconds > max(one.seconds for one in passes[:3])


def test_impossible_counts_are_bad_usage(command: Callable[..., Any]) -> None:
    assert command("distill", "process-speed", "--rounds", "0").code == 2
    assert command("distill", "process-speed", "--student", "resnet9").code == 2
