"""What a student may cost at most, counted on the benchmark's skeleton."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import BadUsage
from spaces.space import Skeleton, Space

_FACTORS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}

Cost = Callable[[Any], float]
"""Of an architecture."""


def counts(skeleton: Skeleton) -> dict[str, Callable[[Any], int]]:
    """Return the functions that count a student's parameters and flops, which are multiply-adds of one image."""
    return {"params": skeleton.count_parameters, "flops": skeleton.count_multiply_adds}


@dataclass(frozen=True)
class Limit:
    """A `Limit` allows at most so much of `params`, `flops` or `latency`: `--max-<what>`."""

    what: str
    most: float


def limit(what: str, text: str) -> Limit:
    """Read a limit written as 500000, 500k, 0.5M or 1G; of latency milliseconds, such as 3.5. Raises BadUsage."""
    suffixes, example = ("", "milliseconds such as 3.5") if what == "latency" else ("kMG", "500000, 500k, 0.5M or 1G")
    found = re.fullmatch(rf"(\d+\.?\d*|\.\d+)([{suffixes or ' '}]?)", text.strip(), re.ASCII)
    if found is None:
        raise BadUsage(f"--max-{what} '{text}': expected a number, {example}")
    return Limit(what, float(found[1]) * _FACTORS[found[2]])


def within(cells: Sequence[int], limits: Sequence[Limit], costs: Mapping[str, Cost], space: Space) -> list[int]:
    """The cells that keep all limits on `costs`. Raises BadUsage, with the least that there is, where none does."""
    left = list(cells)
    if not left:
        raise BadUsage("none of the cells named by --cells can be evaluated: name others")
    for one in limits:
        cost = {cell: costs[one.what](space.at(cell)) for cell in left}
        left = [cell for cell in left if cost[cell] <= one.most]
        if not left:
            least = f"{min(cost.values()):.10g}"
            raise BadUsage(f"--max-{one.what} {one.most:g}: no cell to choose from has so little; the least is {least}")
    return left
