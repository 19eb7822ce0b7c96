"""The commands of `python -m search` that record statistics and find formulas over them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from common import results
from common.cli import at_least_one, choose_device, data_folder, parse_seeds
from common.options import CELLS, Data, Device, Workers

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
    print(f"{benchmark}: statistics of {found.functions} functions, seeds {seeds}; {found.now} recorded now, in {store}")


COMMANDS: dict[str, Callable[..., None]] = {"statistics": statistics_command}
