"""The commands of `python -m search` that record statistics and find formulas over them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from common import results
from common.cli import (
    CELLS,
    Data,
    Device,
    Workers,
    at_least_one,
    choose_device,
    data_folder,
    not_negative,
    parse_seeds,
    print_table,
)
from common.errors import BadInput, unknown

if TYPE_CHECKING:
    from search.formula.records import Found

Store = Annotated[Path, typer.Option("--store", help="Recorded statistics and judged formulas: read, and extended.")]


def statistics_command(
    benchmark: Annotated[str, typer.Option("--benchmark", help="Benchmark whose networks to observe.")] = "digits",
    cells: Annotated[str, typer.Option(help=f"{CELLS}.")] = "labelled",
    seeds: Annotated[str, typer.Option(help="Seeds of weights and images, such as 0-2.")] = "0-2",
    limit: Annotated[int | None, typer.Option(help="The first so many cells of the visiting order.")] = None,
    workers: Workers = None,
    store: Store = results.FORMULA_STORE,
    data: Data = None,
    device: Device = "cpu",
) -> None:
    """Record what formulas are made of: statistics of each function at fixed positions, once, under results/store.

    The same command goes on where it was stopped. A function has one row, whatever cells it has.
    """
    at_least_one("--limit", limit)
    at_least_one("--workers", workers)
    from bench.benchmarks import benchmark as named
    from common.pool import cores

    setting, numbers, folder = named(benchmark), parse_seeds(seeds), data_folder(data)

    from search.formula.store import FormulaStore
    from search.formula.sweep import record

    where = choose_device(device)
    kept = FormulaStore(store)
    found = record(setting, cells, limit, numbers, kept, workers or cores(), folder, where)
    kept.close()
    print(
        f"{benchmark}: statistics of {found.functions} functions, seeds {seeds}; {found.now} recorded now, in {store}"
    )


def formula_command(
    benchmark: Annotated[str, typer.Option("--benchmark", help="Benchmark whose labels to search by.")] = "digits",
    seeds: Annotated[str, typer.Option(help="Seeds of the statistics that a search sees; their mean counts.")] = "0",
    fitness: Annotated[str, typer.Option(help="spearman or kendall, with distilled accuracy.")] = "spearman",
    runs: Annotated[int, typer.Option(help="Searches, each with randomness of its own.")] = 3,
    controls: Annotated[int, typer.Option(help="The same searches by shuffled labels.")] = 3,
    budget: Annotated[int, typer.Option(help="Different formulas that a search judges.")] = 10_000,
    population: Annotated[int, typer.Option(help="Formulas that may have children, and children a generation.")] = 200,
    depth: Annotated[int, typer.Option(help="Operations in a row at most.")] = 6,
    size: Annotated[int, typer.Option(help="Operations and statistics at most.")] = 25,
    also: Annotated[
        str | None, typer.Option(help="Benchmarks to judge the formulas on too, joined by commas; theirs are recorded.")
    ] = None,
    given: Annotated[
        list[str] | None, typer.Option("--formula", help="A formula to judge beside, as text; can be repeated.")
    ] = None,
    store: Store = results.FORMULA_STORE,
    output: Annotated[Path, typer.Option(help="Folder of the formulas found.")] = results.FORMULAS,
) -> None:
    """Find formulas over recorded statistics by evolution, on one half of the labelled functions; judge them on others.

    The same command goes on where it was stopped, to the same formulas. Beside them stands a control: the same search
    by shuffled labels shows how much searching alone finds.
    """
    at_least_one("--runs", runs)
    not_negative("--controls", controls)
    from bench.benchmarks import benchmark as named
    from search.formula.evolution import Evolution
    from search.formula.expression import parse
    from search.formula.functions import FITNESS

    if fitness not in FITNESS:
        raise unknown("fitness", fitness, FITNESS)
    setting, numbers = named(benchmark), tuple(parse_seeds(seeds))
    elsewhere = tuple(named(name.strip()) for name in (also or "").split(",") if name.strip())
    formulas = tuple(map(parse, given or ()))
    evolution = Evolution(budget=budget, population=population, depth=depth, size=size)

    from search.formula.store import FormulaStore
    from search.formula.study import Plan, Study

    if not store.exists():
        raise BadInput(
            f"no statistics at {store}: record them by `python -m search statistics --benchmark {benchmark}` first, "
            "or name another file with --store"
        )
    kept = FormulaStore(store)
    study = Study(Plan(setting, numbers, fitness, runs, controls, evolution, elsewhere, formulas), kept)
    path, lines = study.run(output)
    kept.close()
    searched, other = map(len, study.parts)
    print(
        f"{benchmark}: {fitness} with distilled accuracy on the {searched} functions that were searched by, and on the "
        f"other {other}; seeds {seeds}. A control is held against its shuffled labels."
    )
    print_table(
        ["kind", "run", "judged", "searched", "other half", "size", "formula"],
        [
            [one.kind, _run(one), one.judged, f"{one.fitness:.3f}", f"{other:.3f}", one.size, one.formula]
            for one, other in ((line.found, line.other) for line in lines)
        ],
    )
    print(
        f"wrote {path}; `python -m analysis tables --benchmark {benchmark}` has intervals, other seeds and benchmarks"
    )


def _run(one: Found) -> object:
    return "" if one.run is None else one.run


COMMANDS: dict[str, Callable[..., None]] = {"statistics": statistics_command, "formula": formula_command}
