"""Learning rates are those of the closed forms, at their corners and between them, however short the training."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import pytest
from tiny import TINY

from distill.training import learning_rate


def test_the_cosine_starts_at_the_full_rate_falls_at_every_step_and_would_end_at_zero() -> None:
    plan = replace(TINY, epochs=5, epoch_steps=2, learning_rate=0.4)
    values = [learning_rate(plan, step) for step in range(11)]
    assert values[0] == 0.4
    assert values[5] == pytest.approx(0.2)
    assert values[10] == pytest.approx(0, abs=1e-15)
    assert values[9] > 0
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 11
    assert values[2] == pytest.approx(0.4 * math.cos(math.pi / 10) ** 2)  # half-angle form


@pytest.mark.parametrize("epoch_steps", [1, 7])
def test_steps_falls_to_a_tenth_after_150_180_and_210_of_240_epochs(epoch_steps: int) -> None:
    plan = replace(TINY, schedule="steps", epochs=240, epoch_steps=epoch_steps, learning_rate=0.05)
    for step in range(plan.steps):
        epoch = step // epoch_steps
        drops = (epoch >= 150) + (epoch >= 180) + (epoch >= 210)
        assert learning_rate(plan, step) == pytest.approx([0.05, 0.005, 0.0005, 0.00005][drops])


def test_the_trapezoid_rises_over_50_steps_stays_and_falls_over_the_last_30_percent() -> None:
    plan = replace(TINY, schedule="trapezoid", epochs=2, epoch_steps=400, learning_rate=0.2)
    corners = {0: 0.2 / 50, 1: 0.4 / 50, 48: 0.196, 49: 0.2, 50: 0.2, 300: 0.2, 560: 0.2}
    corners |= {561: 0.2 * 239 / 240, 680: 0.1, 798: 0.4 / 240, 799: 0.2 / 240, 800: 0}
    for step, expected in corners.items():
        assert learning_rate(plan, step) == pytest.approx(expected, abs=1e-15), step
    values = [learning_rate(plan, step) for step in range(800)]
    assert values[:50] == sorted(set(values[:50]))
    assert set(values[49:561]) == {0.2}
    assert values[560:] == sorted(set(values[560:]), reverse=True)


@pytest.mark.parametrize("steps", [1, 8, 45, 60, 70, 80, 100])
def test_a_short_trapezoid_rises_as_slowly_and_turns_where_the_fall_meets_it(steps: int) -> None:
    """Of 80 steps the last 24 fall; of 60 the fall begins at 42, before the rate is full."""
    plan = replace(TINY, schedule="trapezoid", epochs=1, epoch_steps=steps, learning_rate=0.3)
    for step in range(steps):
        rising, falling = Fraction(step + 1, 50), Fraction(10 * (steps - step), 3 * steps)
        assert learning_rate(plan, step) == pytest.approx(0.3 * float(min(rising, falling, Fraction(1))))
    values = [learning_rate(plan, step) for step in range(steps)]
    assert 0 < max(values) <= 0.3
    assert (max(values) == pytest.approx(0.3)) == (steps >= 70)
