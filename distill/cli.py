"""Command line of the distillation room."""

from __future__ import annotations

import json
from math import isnan
from pathlib import Path
from typing import Annotated

import typer

from common import results
from common.cli import (
    Data,
    Device,
    Json,
    Workers,
    application,
    at_least_one,
    choose_device,
    data_folder,
    not_negative,
    parse_seeds,
    print_table,
)
from common.errors import BadUsage, unknown
from distill.recipe_name import RecipeName
from distill.recipes import STUDIED, recipe

app = application("Train teachers, and cells with and without a teacher; write the accuracy tables.")

Benchmark = Annotated[str, typer.Option("--benchmark", help="Benchmark whose recipe to follow.")]
Store = Annotated[Path, typer.Option("--store", help="Database of finished trainings.")]
Output = Annotated[
    Path | None, typer.Option("--output", help="Folder of the accuracy tables; default results/accuracies.")
]
_STORE = results.ACCURACY_STORE
_OUTPUT = results.ACCURACIES
_REHEARSED = results.REHEARSAL
_PROCESSES = results.PROCESSES
_DISTILLATION = results.DISTILLATION
_HUB = results.HUB
FORMATS = ("tables", "hub")
_CHECKPOINTS = results.CHECKPOINTS


def _tables(benchmark: str, output: Path | None) -> Path:
    """Where the tables of a benchmark lie: what is only rehearsed, not beside results. Raises BadUsage."""
    recipe(benchmark)  # a wrong word is told before anything heavy is imported
    return output or (_REHEARSED if RecipeName.parse(benchmark).rehearsal else _OUTPUT)


@app.command("run")
def run_command(
    benchmark: Benchmark = "digits",
    seeds: Annotated[
        str, typer.Option(help="Seeds, such as 0-2; trained in blocks of three, of a short recipe one by one.")
    ] = "0-2",
    limit: Annotated[int | None, typer.Option(help="Only the first cells of the visiting order.")] = None,
    cells: Annotated[
        str | None,
        typer.Option(
            help="all, valid, unique, functions, or a file, a cell a line: train these, into tables of their own."
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option("--teacher", help="Another teacher of the same images, or FILE.py:FUNCTION."),
    ] = None,
    workers: Workers = None,
    store: Store = _STORE,
    output: Output = None,
    data: Data = None,
    device: Device = "auto",
) -> None:
    """Train missing cells, vanilla and distilled, from equal initialisation and data order. Resumable.

    Of the recipe `<benchmark>-short`, a tenth of the steps, distilled only.
    """
    at_least_one("--limit", limit)
    at_least_one("--workers", workers)
    if (said := RecipeName.parse(benchmark)).chosen:
        raise BadUsage(f"--benchmark {benchmark}: say --benchmark {said.of_sample} --cells FILE")
    benchmark += f":teacher={teacher}" * (teacher is not None)
    tables, numbers, folder = _tables(benchmark, output), parse_seeds(seeds), data_folder(data)

    from common.pool import cores
    from distill.runs import run_missing
    from spaces.cell_file import cells_of
    from spaces.nb201.space import NB201

    chosen = None if cells is None else cells_of(cells, NB201)
    where = choose_device(device)
    paths = run_missing(benchmark, numbers, limit, workers or cores(), store, tables, folder, where, chosen)
    for path in paths.values():
        print(f"wrote {path}")


@app.command("study")
def study_command(
    benchmark: Benchmark = "cifar10-16px",
    limit: Annotated[int, typer.Option(help="The first functions of the visiting order.")] = 24,
    seeds: Annotated[str, typer.Option(help="Seeds, such as 0-2; trained in blocks of three.")] = "0-2",
    workers: Workers = None,
    store: Store = _STORE,
    output: Annotated[Path, typer.Option(help="Folder of the accuracy tables.")] = results.RECIPES,
    data: Data = None,
    device: Device = "auto",
) -> None:
    """Train a few functions by every recipe that a benchmark's labels could be made by; `analysis recipes` compares.

    Teachers that a recipe names and nobody has trained yet are trained first. Resumable.
    """
    at_least_one("--limit", limit)
    at_least_one("--workers", workers)
    if benchmark not in STUDIED:
        raise unknown("benchmark whose recipes are studied", benchmark, STUDIED)
    numbers, folder = parse_seeds(seeds), data_folder(data)

    from common.pool import cores
    from distill.runs import run_missing
    from distill.tables import place_of
    from distill.teachers import FOLDER

    where = choose_device(device)
    for name in STUDIED[benchmark]:
        if not (FOLDER / f"{(teacher := recipe(name).teacher)}.json").exists():
            teacher_command(teacher, data=folder, device=where)
        place = place_of(name, output)
        for path in run_missing(name, numbers, limit, workers or cores(), store, place, folder, where).values():
            print(f"wrote {path}")


@app.command("status")
def status_command(
    benchmark: Benchmark = "digits",
    store: Store = _STORE,
    output: Output = None,
    data: Data = None,
    as_json: Json = False,
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
    benchmark: Benchmark = "digits",
    store: Store = _STORE,
    output: Output = None,
    data: Data = None,
    form: Annotated[
        str, typer.Option("--format", help="tables, or hub: of the tables a folder for `datasets`, parquet and README.")
    ] = "tables",
    to: Annotated[
        Path | None, typer.Option(help="Folder of the hub's files; default results/store/hub/BENCHMARK.")
    ] = None,
) -> None:
    """Write the accuracy tables from the store without training anything, or of what is written a folder for a hub."""
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    tables, folder = _tables(benchmark, output), data_folder(data)
    if form == "hub":
        from distill.hub import write_hub

        for path in write_hub(benchmark, tables, to or _HUB / benchmark):
            print(f"wrote {path}")
        return

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
    checkpoints: Annotated[Path, typer.Option(help="Folder of unfinished trainings.")] = results.CHECKPOINTS,
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


Student = Annotated[str, typer.Option("--student", help="A cell's index or string, or resnet<depth>.")]
TeacherName = Annotated[str, typer.Option("--teacher", help="Name of a teacher; default the recipe's.")]
_STAGES = "stage1,stage2,stage3,pooled"
Epochs = Annotated[int | None, typer.Option("--epochs", help="Another horizon than the recipe's.")]
_STUDENT = "1649"
"""The cell nearest to the middle of both rankings, vanilla and distilled, of the digits' first 1,000 labels."""


@app.command("process")
def process_command(
    benchmark: Benchmark = "digits",
    student: Student = _STUDENT,
    teacher: TeacherName = "",
    stages: Annotated[str, typer.Option(help="Stages that pathways join.")] = _STAGES,
    transforms: Annotated[str, typer.Option(help="Transforms between them.")] = "T4",
    normalisation: Annotated[str, typer.Option(help="How weights follow from what is learned.")] = "softmax",
    seed: Annotated[int, typer.Option(help="Draws the student, its images and the transforms.")] = 0,
    epochs: Epochs = None,
    output: Annotated[Path | None, typer.Option("--output", help="File of the process.")] = None,
    data: Data = None,
    device: Device = "auto",
) -> None:
    """Learn by DistPro how much each pathway from teacher to student should weigh at what time. Resumable."""
    at_least_one("--epochs", epochs)
    recipe(benchmark)
    not_negative("--seed", seed)
    folder = data_folder(data)

    from common.progress import Progress
    from distill.comparison import Pair, learn, process_name
    from distill.process.distpro import Settings
    from distill.process.pathways import between

    pair, settings = Pair(benchmark, student, teacher, epochs), Settings(normalisation)
    chosen = between(stages.split(","), transforms.split(","))
    if not chosen:
        raise BadUsage(f"--stages '{stages}' and --transforms '{transforms}' leave no pathway")
    where, steps = choose_device(device), pair.recipe.steps
    rehearsed = RecipeName.parse(benchmark).rehearsal
    path = output or (_REHEARSED if rehearsed else _PROCESSES) / f"{process_name(pair, settings, seed)}.json"
    checkpoint = _CHECKPOINTS / f"process-{path.stem}.pt"
    with Progress(f"process {pair.name}", steps, "steps") as bar:
        learned = learn(
            pair, chosen, settings, seed, folder, where, checkpoint, watch=lambda step: bar.advance(step - bar.done)
        )
    learned.write(path)
    rows: list[list[object]] = [
        [name, *(f"{weight:.3f}" for weight in (learned.at(0)[place], learned.averages[place], learned.at(1)[place]))]
        for place, name in enumerate(learned.pathways)
    ]
    print_table(["pathway", "first", "mean", "last"], rows)
    print(f"wrote {path}")


@app.command("compare")
def compare_command(
    benchmark: Benchmark = "digits",
    losses: Annotated[str, typer.Option(help="Losses, and variants of a process.")] = "vanilla,kd,diswot+",
    student: Student = _STUDENT,
    teacher: TeacherName = "",
    seeds: Annotated[str, typer.Option(help="Seeds, such as 0-4.")] = "0-4",
    process: Annotated[
        list[Path] | None,
        typer.Option(help="Process that replay, mean, ... are of; of any, the first or another, replay@NAME-OF-FILE."),
    ] = None,
    against: Annotated[str, typer.Option(help="Loss that the others are compared with, seed by seed.")] = "kd",
    epochs: Epochs = None,
    output: Annotated[Path | None, typer.Option("--output", help="Folder of the tables.")] = None,
    data: Data = None,
    device: Device = "auto",
) -> None:
    """Train one student with each loss, from the same weights on the same images, and compare. Resumable."""
    at_least_one("--epochs", epochs)
    recipe(benchmark)
    numbers, folder = parse_seeds(seeds), data_folder(data)

    from common.progress import Progress
    from distill.comparison import Pair, compare
    from distill.process.objectives import check
    from distill.process.process import read_processes

    pair, names = Pair(benchmark, student, teacher, epochs), list(dict.fromkeys(losses.split(",")))
    learned = read_processes(process or [])
    for name in names:
        check(name, learned)
    check(against, learned)
    where, steps = choose_device(device), pair.recipe.steps
    to = output or (_REHEARSED if RecipeName.parse(benchmark).rehearsal else _DISTILLATION)
    with Progress(f"compare {pair.name}", steps * len(numbers), "steps") as bar:
        found = compare(
            pair,
            names,
            numbers,
            to,
            _STORE.parent,
            learned,
            folder,
            where,
            watch=lambda done: bar.advance(done - bar.done),
            against=against,
        )
    rows: list[list[object]] = [
        [one.loss, one.n, *("" if isnan(value) else f"{value:.2f}" for value in one[2:8]), one.failed] for one in found
    ]
    print_table(["loss", "n", "mean", "low", "high", f"over {against}", "low", "high", "failed"], rows)
    print(f"wrote {to / pair.name}.csv")


@app.command("speed")
def speed_command(
    benchmark: Benchmark = "digits",
    students: Annotated[int, typer.Option(help="Students trained at a time.")] = 8,
    rounds: Annotated[int, typer.Option(help="Steps measured of each way.")] = 7,
    device: Device = "auto",
) -> None:
    """Ways of training several students with the recipe's teacher, as ratios measured side by side."""
    at_least_one("--students", students)
    at_least_one("--rounds", rounds)
    recipe(benchmark)

    from distill.speed import measure

    where = choose_device(device)
    ways = measure(benchmark, students, where, rounds)
    print(f"{benchmark}: a step of {students} students, teacher {recipe(benchmark).teacher}, {where}, one thread")
    rows: list[list[object]] = [[way.name, way.cells, f"{1000 * way.seconds:.0f}", f"{way.ratio:.2f}"] for way in ways]
    print_table(["way", "cells", "ms", "ratio to separate runs"], rows)
