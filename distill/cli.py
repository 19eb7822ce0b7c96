"""Command line of the distillation room."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from common.cli import application, at_least_one, choose_device, data_folder, parse_seeds, print_table
from distill.recipes import REHEARSAL, recipe

app = application("Train teachers, and cells with and without a teacher; write the accuracy tables.")

Benchmark = Annotated[str, typer.Option("--benchmark", help="Benchmark whose recipe to follow.")]
Store = Annotated[Path, typer.Option("--store", help="Database of finished trainings.")]
Output = Annotated[
    Path | None, typer.Option("--output", help="Folder of the accuracy tables; default results/accuracies.")
]
Data = Annotated[Path | None, typer.Option("--data", help="Folder with the data set, where it needs one.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
_STORE = Path("results/store/accuracies.sqlite")
_OUTPUT = Path("results/accuracies")
_REHEARSED = Path("results/store/rehearsal")
_CHECKPOINTS = Path("results/store/checkpoints")


def _tables(benchmark: str, output: Path | None) -> Path:
    """Where the tables of a benchmark lie: what is only rehearsed, not beside results. Raises BadUsage."""
    recipe(benchmark)  # a wrong word is told before anything heavy is imported
    return output or (_REHEARSED if benchmark.endswith(REHEARSAL) else _OUTPUT)


@app.command("run")
def run_command(
    benchmark: Benchmark = "digits",
    seeds: Annotated[str, typer.Option(help="Seeds, such as 0-2; trained in whole blocks of three.")] = "0-2",
    limit: Annotated[int | None, typer.Option(help="Only the first cells of the visiting order.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; default one a core.")] = None,
    store: Store = _STORE,
    output: Output = None,
    data: Data = None,
    device: Device = "auto",
) -> None:
    """Train missing cells, vanilla and distilled, from equal initialisation and data order. Resumable."""
    at_least_one("--limit", limit)
    at_least_one("--workers", workers)
    tables, numbers, folder = _tables(benchmark, output), parse_seeds(seeds), data_folder(data)

    from common.pool import cores
    from distill.runs import run_missing

    where = choose_device(device)
    for path in run_missing(benchmark, numbers, limit, workers or cores(), store, tables, folder, where).values():
        print(f"wrote {path}")


@app.command("status")
def status_command(
    benchmark: Benchmark = "digits",
    store: Store = _STORE,
    output: Output = None,
    data: Data = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array on standard output.")] = False,
) -> None:
    """How many trainings of the present recipe are in the store and in the tables."""
    tables, folder = _tables(benchmark, output), data_folder(data)

    from distill.runs import status

    entries = status(benchmark, store, tables, folder)
    if as_json:
        print(json.dumps(entries, indent=2))
        return
    print_table(list(entries[0]), [list(entry.values()) for entry in entries])


@app.command("export")
def export_command(
    benchmark: Benchmark = "digits", store: Store = _STORE, output: Output = None, data: Data = None
) -> None:
    """Write the accuracy tables from the store without training anything."""
    tables, folder = _tables(benchmark, output), data_folder(data)

    from distill.runs import export

    for path in export(benchmark, store, tables, folder).values():
        print(f"wrote {path}")


@app.command("merge")
def merge_command(
    others: Annotated[list[Path], typer.Argument(help="Stores from other machines.")],
    benchmark: Benchmark = "digits",
    store: Store = _STORE,
    output: Output = None,
    data: Data = None,
) -> None:
    """Add the trainings of other stores, and write the accuracy tables."""
    tables, folder = _tables(benchmark, output), data_folder(data)

    from distill.runs import merge

    for path in merge(benchmark, others, store, tables, folder).values():
        print(f"wrote {path}")


@app.command("teacher")
def teacher_command(
    name: Annotated[str, typer.Argument(help="BENCHMARK or BENCHMARK-NETWORK, such as cifar100-resnet110.")] = "digits",
    epochs: Annotated[int | None, typer.Option(help="Another horizon than the recipe's.")] = None,
    output: Annotated[Path | None, typer.Option(help="Folder for the weights; default is the package's own.")] = None,
    checkpoints: Annotated[Path, typer.Option(help="Folder of unfinished trainings.")] = Path(
        "results/store/checkpoints"
    ),
    data: Data = None,
    device: Device = "auto",
) -> None:
    """Train a teacher and write its weights and record. An interrupted training goes on where it was."""
    from common.progress import Progress
    from distill.teachers import FOLDER, spec, train_teacher

    at_least_one("--epochs", epochs)
    steps, folder, where = spec(name, epochs).recipe.steps, data_folder(data), choose_device(device)
    with Progress(f"teacher {name}", steps, "steps") as bar:
        record = train_teacher(
            name,
            output or FOLDER,
            folder,
            epochs=epochs,
            device=where,
            checkpoint=checkpoints / f"teacher-{name}-{steps}.pt",
            watch=lambda step: bar.advance(step - bar.done),
        )
    print(f"teacher {name}: val {record['val']:.2f} %, test {record['test']:.2f} %, hash {record['hash'][:16]}")


@app.command("speed")
def speed_command(
    benchmark: Benchmark = "digits",
    students: Annotated[int, typer.Option(help="Students trained at a time.")] = 8,
    rounds: Annotated[int, typer.Option(help="Steps measured of each way.")] = 7,
    device: Device = "auto",
) -> None:
    """Ways of training several students with a ResNet-56 teacher, as ratios measured side by side."""
    at_least_one("--students", students)
    at_least_one("--rounds", rounds)
    recipe(benchmark)

    from distill.speed import measure

    where = choose_device(device)
    ways = measure(benchmark, students, where, rounds)
    print(f"{benchmark}: a step of {students} students, teacher resnet56, {where}, one thread")
    rows: list[list[object]] = [[way.name, way.cells, f"{1000 * way.seconds:.0f}", f"{way.ratio:.2f}"] for way in ways]
    print_table(["way", "cells", "ms", "ratio to separate runs"], rows)
