"""Command line of the distillation room."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from common.cli import application, at_least_one, data_folder, parse_seeds

app = application("Train teachers, and cells with and without a teacher; write the accuracy tables.")

Benchmark = Annotated[str, typer.Option("--benchmark", help="Benchmark whose recipe to follow.")]
Store = Annotated[Path, typer.Option("--store", help="Database of finished trainings.")]
Output = Annotated[Path, typer.Option("--output", help="Folder of the accuracy tables.")]
Data = Annotated[Path | None, typer.Option("--data", help="Folder with the data set, where it needs one.")]
_STORE = Path("results/store/accuracies.sqlite")
_OUTPUT = Path("results/accuracies")


@app.command("run")
def run_command(
    benchmark: Benchmark = "digits",
    seeds: Annotated[str, typer.Option(help="Seeds, such as 0-1.")] = "0-1",
    limit: Annotated[int | None, typer.Option(help="Only the first cells of the visiting order.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; default one a core.")] = None,
    store: Store = _STORE,
    output: Output = _OUTPUT,
    data: Data = None,
) -> None:
    """Train missing cells, vanilla and distilled, from equal initialisation and data order. Resumable."""
    from common.pool import cores
    from distill.runs import run_missing

    at_least_one("--limit", limit)
    at_least_one("--workers", workers)
    paths = run_missing(benchmark, parse_seeds(seeds), limit, workers or cores(), store, output, data_folder(data))
    for path in paths.values():
        print(f"wrote {path}")


@app.command("export")
def export_command(
    benchmark: Benchmark = "digits", store: Store = _STORE, output: Output = _OUTPUT, data: Data = None
) -> None:
    """Write the accuracy tables from the store without training anything."""
    from distill.runs import export

    for path in export(benchmark, store, output, data_folder(data)).values():
        print(f"wrote {path}")


@app.command("teacher")
def teacher_command(
    name: Annotated[str, typer.Argument(help="Name of the teacher.")] = "digits",
    output: Annotated[Path | None, typer.Option(help="Folder for the weights; default is the package's own.")] = None,
    data: Data = None,
) -> None:
    """Train a teacher and write its weights and record."""
    from distill.teachers import FOLDER, train_teacher

    record = train_teacher(name, output or FOLDER, data_folder(data))
    print(f"teacher {name}: val {record['val']:.2f} %, test {record['test']:.2f} %, hash {record['hash'][:16]}")
