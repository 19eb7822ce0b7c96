"""How far apart two stores' scores of the same cells are: from another device, executor or version of a library."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.benchmarks import Benchmark
from bench.identity import name_of
from bench.store import ScoreStore, Stored
from common.errors import BadInput
from proxies import registry
from proxies.base import Proxy

Floats = NDArray[np.float64]


class Difference(NamedTuple):
    """Of one proxy, over all seeds that both stores have."""

    proxy: str
    cells: int
    """Scored in both, a cell counted once a seed."""
    one: int
    """Scored in one of them, without a score in the other; what a store knows nothing of counts nowhere."""
    largest: float
    """The largest |a - b| / max(|a|, |b|) of a cell's two scores."""
    turned: int
    """Pairs of cells of a seed that the two stores rank one way and the other; a tie in one of them is not."""
    gap: float
    """The largest |a - a'| / max(|a|, |a'|) of a pair that is turned: how near a tie it was."""


def held_by_both(one: ScoreStore, other: ScoreStore, benchmark: Benchmark, files: tuple[Path, ...] = ()) -> list[Proxy]:
    """The proxies that both stores have a seed of, with the benchmark's teacher. Raises BadInput where there is none.

    Those whose code is not known here are told of and left out.
    """
    first, second = (
        {entry["proxy"] for entry in store.overview() if entry["benchmark"] == benchmark.name} for store in (one, other)
    )
    found, known, teacher = [], registry.known(files), benchmark.teacher.record()
    for name in sorted(first & second):
        label = name.partition("@")[0]
        if label.partition(":")[0] not in known:
            print(f"note: {label} is in both and its code is not known: --module FILE names it", file=sys.stderr)
            continue
        proxy = registry.create(label, files)
        seeds = [{entry.seed for entry in store.scores(benchmark.name, proxy, teacher)} for store in (one, other)]
        if name == name_of(proxy, benchmark) and set.intersection(*seeds):
            found.append(proxy)
    if not found:
        raise BadInput(f"{one.path} and {other.path} have no scores on {benchmark.name} in common")
    return found


def diff(one: ScoreStore, other: ScoreStore, benchmark: Benchmark, proxies: Sequence[Proxy]) -> list[Difference]:
    """One entry a proxy. Raises BadInput where the stores have no seed of a proxy in common, or no cell."""
    found = []
    for proxy in proxies:
        teacher = benchmark.teacher.record()
        first = {entry.seed: entry for entry in one.scores(benchmark.name, proxy, teacher)}
        second = {entry.seed: entry for entry in other.scores(benchmark.name, proxy, teacher)}
        name = name_of(proxy, benchmark)
        if not first.keys() & second.keys():
            raise BadInput(f"{name} on {benchmark.name}: {one.path} and {other.path} have no seed of it in common")
        seeds = [_of_seed(name, first[seed], second[seed]) for seed in sorted(first.keys() & second.keys())]
        if not any(seed.cells or seed.one for seed in seeds):
            raise BadInput(f"{name} on {benchmark.name}: {one.path} and {other.path} have no cell of it in common")
        _, cells, ones, largest, turned, gaps = zip(*seeds, strict=True)
        found.append(Difference(name, sum(cells), sum(ones), max(largest), sum(turned), max(gaps)))
    return found


def _of_seed(name: str, first: Stored, second: Stored) -> Difference:
    theirs = {row.cell: row.score for row in second.rows}
    pairs = [(row.score, theirs[row.cell]) for row in first.rows if row.cell in theirs]
    both = np.array([(a, b) for a, b in pairs if a is not None and b is not None], dtype=np.float64).reshape(-1, 2)
    one = sum((a is None) != (b is None) for a, b in pairs)
    a, b = both.T
    turned, gap = _turned(a, b)
    return Difference(name, len(both), one, float(_apart(a, b).max(initial=0)), turned, gap)


def _turned(a: Floats, b: Floats) -> tuple[int, float]:
    """Pairs in another order, and the widest of them in `a`."""
    count, gap = 0, 0.0
    for place in range(len(a) - 1):  # a row at a time: all pairs of 15,625 cells would take gigabytes
        rest = slice(place + 1, None)
        other_way = np.sign(a[rest] - a[place]) * np.sign(b[rest] - b[place]) < 0
        count += int(other_way.sum())
        gap = max(gap, float(_apart(a[rest][other_way], a[place]).max(initial=0)))
    return count, gap


def _apart(a: Floats, b: Floats | np.float64) -> Floats:
    """|a - b| / max(|a|, |b|), 0 where both are 0."""
    size = np.maximum(np.abs(a), np.abs(b))
    return np.abs(a - b) / np.where(size == 0, 1, size)
