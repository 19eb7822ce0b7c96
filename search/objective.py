"""What is searched by: a proxy's score, or trained accuracies. A search knows one of them and nothing of the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bench.identity import name_of
from common.errors import BadUsage

if TYPE_CHECKING:
    from bench.benchmarks import Benchmark
    from bench.ondemand import OnDemand
    from bench.runner import Request


@dataclass(frozen=True)
class Objective:
    """An `Objective` is searched by: `evaluate(cell)` is larger for better cells, None where there is no number."""

    name: str
    """In file names: the proxy, or what was trained."""
    settings: dict[str, Any]
    """All that can change an evaluation, as far as it is chosen on the command line."""
    sees: str
    """Cells that are equal at this level (spaces/nb201/equivalence.py) have one evaluation."""
    cells: Sequence[int]
    """Those that it can evaluate."""
    evaluate: Callable[[int], float | None]
    seconds: dict[int, float] | None = None
    """What an evaluation has cost, by representative, where that is known: of trainings."""
    shorter: Objective | None = None
    """The same by shorter trainings, for methods that look at them first."""
    length: float = 1.0
    """How long an evaluation trains, in `unit`."""
    unit: str = "evaluations"


def by_proxy(request: Request, scores: OnDemand) -> Objective:
    """Make the objective of a proxy: its mean score over the seeds of a request."""
    name = name_of(scores.proxy, request.benchmark)
    settings = {"by": "proxy", "proxy": name, "seeds": list(request.seeds), "backbone": request.benchmark.backbone}
    return Objective(name, settings, scores.proxy.sees, request.benchmark.space.cell_set("all"), scores.score)


def by_accuracy(which: str, benchmark: Benchmark, seeds: Sequence[int], shorter: str | None = None) -> Objective:
    """Make the objective of validation accuracy, of the cells that a table holds; with `shorter`, that both tables
    hold.

    Raises BadInput, and BadUsage where the second table does not train shorter than the first.
    """
    from search.trained import read

    table = read(which, benchmark, seeds)
    stands_for = benchmark.space.representatives(table.sees)
    name = which.rpartition("/")[2].removesuffix(".csv.gz")
    settings = {"by": "accuracy", "accuracy": name, "seeds": list(seeds), "recipe_hash": table.recipe_hash}

    def evaluate(cell: int) -> float:
        return table.accuracy[stands_for[cell]]

    own = Objective(
        name, settings, table.sees, table.cells, evaluate, table.seconds, length=table.length, unit=table.unit
    )
    if shorter is None:
        return own
    first = by_accuracy(shorter, benchmark, seeds)
    if first.unit != own.unit or not first.length < own.length:
        lengths = f"trains {first.length:g} {first.unit}, --accuracy {which} {own.length:g} {own.unit}"
        raise BadUsage(f"--shorter {shorter} {lengths}: it has to be shorter, in the same unit")
    if first.sees != own.sees:
        raise BadUsage(f"--shorter {shorter}: one table labels functions, the other cells, so they cannot be joined")
    both = sorted(set(own.cells) & set(first.cells))
    return replace(own, settings=settings | {"shorter": first.settings}, cells=both, shorter=first)
