"""Which functions a search of formulas sees, which it is judged on, and the labels of its control."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from bench.benchmarks import Benchmark
from bench.plan import visiting_order


def halves(cells: Sequence[int], setting: Benchmark) -> tuple[list[int], list[int]]:
    """The searched half and the other one: of these cells, every second in the visiting order, from the first and from
    the second on."""
    chosen = set(cells)
    ordered = [cell for cell in visiting_order(setting.space) if cell in chosen]
    return ordered[::2], ordered[1::2]


def shuffled(labels: Mapping[int, float], run: int) -> dict[int, float]:
    """The labels dealt out anew among all cells, by the run of a control: nothing can be learned from them."""
    cells = sorted(labels)
    values = [labels[cell] for cell in cells]
    random.Random(f"control {run}").shuffle(values)
    return dict(zip(cells, values, strict=True))
