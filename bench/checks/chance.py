"""Whether a score is a matter of chance: it is asked for again, and the random numbers of the process are watched."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from bench.checks.judge import Judged, judge
from common.crew import alive
from common.reproducible import drawn_since, random_states
from probe.network import Probe
from proxies.base import Proxy

_SEEDED = "let it draw from a generator of its own with a fixed seed, such as torch.Generator().manual_seed(0)"


class Chance(NamedTuple):
    """What was found of a score."""

    why: str = ""
    """What it depends on that it must not; empty where that is nothing."""
    harmless: bool = False
    """Whether random numbers were drawn and it is the same: by layers, say, whose weights are then replaced."""


class Rounding(NamedTuple):
    """How far two scores of one cell may be apart."""

    alike: bool
    """Whether two of one probe are the same to the bit: on a CPU they are, a GPU adds in any order."""
    rebuilt: float
    """The part of a score by which that of a probe made anew, of the cell by itself, may differ."""


def judge_closely(
    proxy: Proxy, student: Probe, teacher: Probe, fresh: Callable[[], Probe], rounding: Rounding
) -> tuple[Judged, Chance]:
    """As `judge`, and what of it is chance; `fresh` makes the student's probe anew.

    Who draws from the random numbers of the process does so again when it is asked again. What it reads is made once:
    where that was drawn, the score of a fresh probe is another one.
    """
    before = random_states()
    found = judge(proxy, student, teacher)
    drawn = drawn_since(before)
    if found.status != "ok":
        return found, Chance()
    alive()
    before = random_states()
    again = judge(proxy, student, teacher)
    if now := drawn_since(before):
        return found, Chance(f"drew from the global random numbers of {now}: {_SEEDED}")
    if rounding.alike and _differ(found, again, 0.0):
        return found, Chance(f"gave another score when asked for the same network again: {_SEEDED}")
    if not drawn:
        return found, Chance()
    again = judge(proxy, fresh(), teacher)
    if rounding.alike and _differ(found, again, rounding.rebuilt):
        why = f"what it reads draws from the global random numbers of {drawn}, as dropout in a network does"
        return found, Chance(f"gave another score when asked for the same cell again: {why}")
    return found, Chance(harmless=True)


def _differ(one: Judged, two: Judged, part: float) -> bool:
    """Whether there are two scores, and more than a part of them lies between."""
    return None not in (one.score, two.score) and not math.isclose(one.score or 0, two.score or 0, rel_tol=part)
