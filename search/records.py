"""Finished searches as `results/searches/` holds them: a CSV with a row a run, and a JSON file with the settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.benchmarks import Benchmark
from common import results
from common.files import together
from common.formats import write_json, write_records
from search.cells import index_of
from search.choices import Choices
from search.constraints import counts
from search.driver import Trace
from search.objective import Objective

FOLDER = results.SEARCHES


@dataclass(frozen=True)
class Found:
    """A `Found` is the answer of one run of a search and its cost; None where nothing that it evaluated has a score."""

    run: int
    cell: int | None
    score: float | None
    params: int | None
    flops: int | None
    evaluations: int
    functions: int
    """Evaluations of different functions: what had to be computed."""
    failed: int
    glimpses: int
    """Shorter trainings that it looked at first."""
    asked: int
    outside: int
    seconds: float | None
    """Seconds of the trainings that it looked up; None where scores were searched by."""
    steps: str
    """The improvements: `evaluation:cell`, the last is the answer."""


def found(run: int, trace: Trace, space: Choices, benchmark: Benchmark, objective: Objective) -> Found:
    """Make the record of a run of its trace."""
    steps = [(step.evaluation, index_of(step.architecture, benchmark.space)) for step in trace.steps]
    functions, glimpsed = ({space.class_of[one] for one in seen} for seen in (trace.scores, trace.glimpses))
    seconds = _seconds(objective, functions)
    if seconds is not None and objective.shorter is not None:
        seconds += _seconds(objective.shorter, glimpsed) or 0.0
    cell = steps[-1][1] if steps else None
    counted = {
        what: None if cell is None else count(benchmark.space.at(cell))
        for what, count in counts(benchmark.skeleton).items()
    }
    return Found(
        run=run,
        cell=cell,
        score=None if trace.answer is None else trace.scores[trace.answer],
        params=counted["params"],
        flops=counted["flops"],
        evaluations=len(trace.scores),
        functions=len(functions),
        failed=trace.failed,
        glimpses=len(trace.glimpses),
        asked=trace.asked,
        outside=trace.outside,
        seconds=None if seconds is None else round(seconds, 2),
        steps=" ".join(f"{evaluation}:{cell}" for evaluation, cell in steps),
    )


def _seconds(objective: Objective, functions: Iterable[int]) -> float | None:
    """Of the trainings of these; None where scores were searched by."""
    if objective.seconds is None:
        return None
    return sum(objective.seconds[function] for function in sorted(functions))


def ranges(seeds: Sequence[int]) -> str:
    """Write ascending numbers as the command line takes them: `0-2,5`."""
    text, first = [], 0
    for place, seed in enumerate(seeds):
        if place + 1 == len(seeds) or seeds[place + 1] != seed + 1:
            text.append(f"{seeds[first]}-{seed}" if first < place else str(seed))
            first = place + 1
    return ",".join(text)


def name_of(settings: dict[str, Any]) -> str:
    """Name a search by what tells it apart: seeds other than 0, cells other than all, shorter trainings, limits."""
    told = {} if settings["cells"] == "all" else {"cells": Path(settings["cells"]).stem}
    if (seeds := settings["evaluation"]["seeds"]) != [0]:
        told["seeds"] = ranges(seeds)
    if "shorter" in settings["evaluation"]:
        told["shorter"] = settings["evaluation"]["shorter"]["accuracy"]
    told |= {what: f"{most:.10g}" for what, most in settings["limits"].items()}
    name = f"{settings['benchmark']}-{settings['objective']}-{settings['method']}".replace(":", ".")
    name = "".join([name, *(f".{what}={value}" for what, value in told.items())])
    return name.replace("/", "%2F").replace("\\", "%5C")  # a proxy's field may hold anything


def write(runs: Sequence[Found], settings: dict[str, Any], folder: Path) -> Path:
    """Write `<benchmark>-<objective>-<method>[.<setting>=<value>].csv` and `.json`. Equal searches give equal bytes."""
    path = folder / f"{name_of(settings)}.csv"
    with together(path.with_suffix(".json")):
        write_records(path, [asdict(one) for one in runs])
        write_json(path.with_suffix(".json"), settings)
    return path
