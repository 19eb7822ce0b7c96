"""What to score: cell sets, visiting order, and the passes that serve all proxies at once."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from common.errors import BadInput
from common.shipped import here_or_shipped
from distill.recipes import MODES
from distill.tables import table_path, trained_cells
from proxies.base import Proxy
from spaces.cell_file import cells_of
from spaces.space import Space

if TYPE_CHECKING:
    from bench.benchmarks import Benchmark

ORDER_SEED = 201
LABELLED = "labelled"
"""The set of the cells that a benchmark has accuracies of."""


class Pass(NamedTuple):
    """One network with one initialisation on one batch, read by some of the run's proxies (by number)."""

    seed: int
    init: str
    cell: int
    proxies: tuple[int, ...]


@dataclass(frozen=True)
class Want:
    """One proxy with one seed: what is still to be scored."""

    proxy: int
    seed: int
    cells: Sequence[int]


@cache
def visiting_order(space: Space) -> tuple[int, ...]:
    """All cells in a seeded permutation: every prefix is an unbiased sample."""
    order = list(range(len(space)))
    random.Random(ORDER_SEED).shuffle(order)
    return tuple(order)


def select(which: str, space: Space, limit: int | None = None) -> list[int]:
    """The first `limit` cells, in visiting order, of a named set or of a file with one index or cell a line.

    Raises BadInput or BadUsage for an unknown set, a missing or empty file, a malformed or unknown cell.
    """
    return _visited(set(cells_of(which, space, further=(LABELLED,))), space, limit)


def select_of(which: str, benchmark: Benchmark, limit: int | None = None) -> list[int]:
    """As `select`, and `labelled`: the cells with an accuracy of every mode that the benchmark has a table of.

    Of labels of functions that is one cell of each. Raises BadInput too where there is no table.
    """
    if which != LABELLED:
        return select(which, benchmark.space, limit)
    found = [trained_cells(table_path(benchmark.name, mode)) for mode in labelled_modes(benchmark.name)]
    if not found:
        raise BadInput(f"--cells {LABELLED}: {benchmark.name} has no accuracy table; --cells FILE scores what it lists")
    return _visited(set.intersection(*found), benchmark.space, limit)


FEW = 0.1
"""Below which share of cells those with a label are so few that the set of them is named."""


def hint(labelled: int, cells: int, all_of_them: bool) -> str:
    """How to score cells that have a label, where few of those that are scored do and there are others."""
    return f"; `--cells {LABELLED}` scores those that have one" if labelled < FEW * cells and not all_of_them else ""


def labelled_among(cells: Iterable[int], benchmark: Benchmark) -> tuple[int, int]:
    """How many of these cells have a label, and how many cells of the benchmark have one; none where there is none."""
    if not labelled_modes(benchmark.name):
        return 0, 0
    labelled = set(select_of(LABELLED, benchmark))
    return len(labelled.intersection(cells)), len(labelled)


def labelled_modes(benchmark: str) -> list[str]:
    """The modes of training that a benchmark has an accuracy table of, here or among what was shipped."""
    return [mode for mode in MODES if here_or_shipped(table_path(benchmark, mode)).exists()]


def _visited(chosen: set[int], space: Space, limit: int | None) -> list[int]:
    return [cell for cell in visiting_order(space) if cell in chosen][:limit]


def passes(wants: Iterable[Want], proxies: Sequence[Proxy], space: Space) -> list[Pass]:
    """The passes that score what is wanted: one for each representative cell, shared by all proxies that read it.

    By seed, then in the order in which the wants first name a cell of the class.
    """
    readers: dict[tuple[int, str, int], set[int]] = {}
    wants = sorted(wants, key=lambda want: want.seed)
    for want in wants:
        proxy = proxies[want.proxy]
        stands_for = space.representatives(proxy.sees)
        for cell in want.cells:
            readers.setdefault((want.seed, proxy.init, stands_for[cell]), set()).add(want.proxy)
    ordered = sorted(readers.items(), key=lambda item: item[0][0])  # stable: visiting order within a seed
    return [Pass(seed, init, cell, tuple(sorted(numbers))) for (seed, init, cell), numbers in ordered]


def parts(tasks: Sequence[Pass], size: int) -> list[Sequence[Pass]]:
    """Runs of at most `size`."""
    return [tasks[start : start + size] for start in range(0, len(tasks), size)]


def alike(tasks: Iterable[Pass]) -> Iterable[list[Pass]]:
    """Passes of the same seed, initialisation and readers."""
    found: dict[tuple[object, ...], list[Pass]] = {}
    for task in tasks:
        found.setdefault((task.seed, task.init, task.proxies), []).append(task)
    return found.values()


def cells_together(setting: Benchmark, device: str) -> int:
    """How many cells to run as one network, as measured in docs/decisions/performance.md.

    On a GPU as many as fill 256 MB with one map of the first stage each, of which some ten are held at a time. On a CPU
    groups gain nothing: 1 is no group at all.
    """
    if not device.startswith("cuda") or not _groups(setting):
        return 1
    return max(1, 2**28 // _bytes_of_map(setting))


def derives_as_group(setting: Benchmark, device: str) -> bool:
    """Whether a CPU takes the derivatives of a cell, and its small and thin networks, as a group of one does,
    which adds in another order.

    So it is where maps are small: groups ran there once, and the last digits of scores that are stored are theirs.
    """
    return device == "cpu" and _groups(setting) and 2**23 // _bytes_of_map(setting) >= 8


def _groups(setting: Benchmark) -> bool:
    """Whether cells of the benchmark can run as one network."""
    return setting.space.batched and setting.backbone == "own"


def _bytes_of_map(setting: Benchmark) -> int:
    """B H W C floats of the first stage."""
    return 4 * setting.batch * setting.skeleton.size**2 * setting.skeleton.channels
