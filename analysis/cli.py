"""Command line of the analysis: `python -m analysis correlate|teachers|import|reliability|class-pairs`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from analysis.pages.cli import COMMANDS
from bench.options import Modules
from common import results as places
from common.cli import CELLS, PROXIES, Json, application, parse_seeds

app = application("How well scores rank cells the way accuracies do.")


@app.callback()
def main() -> None:
    """How well scores rank cells the way accuracies do."""


@app.command("correlate")
def correlate_command(
    proxies: Annotated[list[str], typer.Argument(help=f"{PROXIES} Spaces may stand for commas.")],
    benchmark: Annotated[str, typer.Option("--benchmark", help="Benchmark whose scores to judge.")] = "digits",
    against: Annotated[
        str, typer.Option(help="distilled, vanilla, gain, a table, or a CSV file with cell|index|arch and accuracy.")
    ] = "distilled",
    cells: Annotated[
        str | None,
        typer.Option(help=f"{CELLS}; default: what labels are of."),
    ] = None,
    store: Annotated[Path, typer.Option("--store", help="Score store.")] = places.SCORE_STORE,
    figures: Annotated[Path, typer.Option(help="Folder for the scatter plots.")] = places.SCATTERS,
    teacher: Annotated[str, typer.Option("--teacher", help="Teacher of the scores, as in `bench run`.")] = "default",
    seeds: Annotated[
        str | None, typer.Option(help="Seeds whose scores are averaged, such as 0-2; default: all that are stored.")
    ] = None,
    proxy_module: Modules = None,
    as_json: Json = False,
) -> None:
    """Kendall tau-b, Spearman with its 95 % bootstrap interval, and Pearson, with params and flops beside."""
    from bench.benchmarks import benchmark as named
    from bench.benchmarks import with_teacher
    from proxies.registry import choose

    files = tuple(proxy_module or ())
    chosen = choose(",".join(proxies), files)
    setting = with_teacher(named(benchmark), teacher)
    wanted = None if seeds is None else parse_seeds(seeds)

    from analysis.figures.scores import draw_one
    from analysis.judged import Judged, entries, show
    from analysis.read.columns import label_cells
    from analysis.read.labels import load_labels
    from analysis.stats.reliability import reliability
    from analysis.studies.correlate import results
    from analysis.studies.over_params import beside

    labels = load_labels(against, benchmark)
    which = labels.set_of(cells)
    labelled = label_cells(labels, which)
    found = results(store, setting, chosen, labelled, which, files, wanted)
    judged = Judged(
        benchmark=benchmark,
        against=against,
        source=labels.source,
        cells=which,
        labelled=len(labelled),
        results=found,
        beside=beside(found, labelled, setting.space),
        reliability=reliability(labels.by_seed),
        store=store,
        figures={
            one.proxy: draw_one(one, benchmark, against, which, labels.quantity, figures)
            for one in found[: len(chosen)]
        },
    )
    if as_json:
        print(json.dumps(entries(judged), indent=2))
        return
    show(judged)


@app.command("teachers")
def teachers_command(
    proxy: Annotated[str, typer.Argument(help="A proxy that compares a student with a teacher, such as diswot.")],
    benchmark: Annotated[str, typer.Option("--benchmark", help="Benchmark whose scores to compare.")] = "digits",
    against: Annotated[
        str | None, typer.Option(help="Labels, as in `correlate`; default: distilled, where there is a table.")
    ] = None,
    cells: Annotated[str, typer.Option(help=f"{CELLS}.")] = "functions",
    store: Annotated[Path, typer.Option("--store", help="Score store.")] = places.SCORE_STORE,
    proxy_module: Modules = None,
    as_json: Json = False,
) -> None:
    """How far a proxy's ranking moves when the teacher changes, beside how far it moves with the draw of weights."""
    from bench.benchmarks import benchmark as named
    from common.errors import BadUsage
    from proxies.registry import create

    chosen, setting = create(proxy, tuple(proxy_module or ())), named(benchmark)
    if "teacher" not in chosen.needs:
        raise BadUsage(f"{chosen.label} does not read the teacher: no teacher moves its ranking")

    from analysis.studies.teachers import entries, print_study, study

    found = study(store, setting, chosen, cells, against)
    if as_json:
        print(json.dumps(entries(found), indent=2))
        return
    print_study(found)


@app.command("import")
def import_command(
    format: Annotated[
        str,
        typer.Argument(
            help="nas-bench-201, nats-bench (topology), nats-bench-size, diswot-json, resnet-depths or csv."
        ),
    ],
    file: Annotated[Path, typer.Argument(help="The published file; of nats-bench the 'simple' folder too.")],
    dataset: Annotated[str, typer.Option(help="cifar10, cifar100 or imagenet16-120.")],
    epochs: Annotated[
        int | None,
        typer.Option(help="Of a benchmark's trainings, 12, 200 or 90; default the longest; else what to state."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the table; default: data set and format or file.")] = None,
    output: Annotated[Path, typer.Option(help="Folder for the table.")] = places.ACCURACIES,
    trust_pickle: Annotated[
        bool, typer.Option("--trust-pickle", help="Unpickle the file, which can run anything its maker wrote.")
    ] = False,
) -> None:
    """Convert published accuracies, once, into an accuracy table that says where it came from."""
    from analysis.importers import import_table

    path, table = import_table(
        format, file, dataset, epochs=epochs, name=name, output=output, trust_pickle=trust_pickle
    )
    seeds = ", ".join(f"{seed} ({count})" for seed, count in table.rows["seed"].value_counts().sort_index().items())
    print(f"{path}: {table.rows['cell'].nunique()} architectures; seeds (and rows): {seeds}")


@app.command("reliability")
def reliability_command(
    benchmark: Annotated[str, typer.Option("--benchmark", help="Benchmark whose tables to look at.")] = "digits",
    tables: Annotated[Path, typer.Option(help="Folder of the accuracy tables.")] = places.ACCURACIES,
    as_json: Json = False,
    proxy_module: Modules = None,
) -> None:
    """Agreement of seeds, ceilings, vanilla against distilled, and the gain of distillation."""
    from bench.benchmarks import benchmark as named

    setting = named(benchmark)

    from analysis.studies.labels.reliability import entry, print_report, report

    found = report(setting, tables)
    if as_json:
        print(json.dumps([entry(found)], indent=2))
        return
    print_report(found)


@app.command("class-pairs")
def class_pairs_command(
    benchmark: Annotated[str, typer.Option("--benchmark", help="Benchmark whose tables to look at.")] = "digits",
    tables: Annotated[Path, typer.Option(help="Folder of the accuracy tables.")] = places.ACCURACIES,
) -> None:
    """Whether members of a class share a label after training: tables of BENCHMARK and of BENCHMARK-executed."""
    from analysis.studies.class_pairs import compare, print_agreement

    print_agreement(compare(benchmark, tables))


@app.command("searches")
def searches_command(
    benchmark: Annotated[str, typer.Option("--benchmark", help="Benchmark whose searches to judge.")] = "digits",
    searches: Annotated[Path, typer.Option(help="Folder of finished searches.")] = places.SEARCHES,
    costs: Annotated[Path, typer.Option(help="Folder of measured costs.")] = places.COSTS,
    against: Annotated[str, typer.Option(help="distilled, vanilla, or a file of accuracies.")] = "distilled",
    unlabelled: Annotated[
        Path | None,
        typer.Option(help="File for the found cells that lack a label, for `distill run --cells`."),
    ] = None,
    as_json: Json = False,
) -> None:
    """What `python -m search` has found, by trained accuracy: the student's, its regret and rank, and the cost."""
    from bench.benchmarks import benchmark as named

    setting = named(benchmark)

    from analysis.read.labels import known_labels
    from analysis.studies.searches import entry, judge, print_judged
    from common.formats import write_text

    labels, chosen = known_labels(benchmark, against)
    found, missing = judge(setting, labels, searches, costs, chosen, against)
    if unlabelled is not None:
        write_text(unlabelled, "".join(f"{cell}\n" for cell in missing))
    if as_json:
        print(json.dumps([entry(one) for one in found], indent=2))
        return
    print_judged(found, missing, benchmark, against)


@app.command("formulas")
def formulas_command(
    benchmark: Annotated[str, typer.Option("--benchmark", help="Benchmark whose formulas to judge.")] = "digits",
    formulas: Annotated[Path, typer.Option(help="Folder of the formulas found.")] = places.FORMULAS,
    on: Annotated[
        str | None, typer.Option(help="Another benchmark that the formulas have values on, judged by the labels of:")
    ] = None,
    against: Annotated[str | None, typer.Option(help="With --on: a file of accuracies, as in `correlate`.")] = None,
) -> None:
    """What `python -m search formula` has found, where it searched and where not, beside a control and proxies."""
    from bench.benchmarks import benchmark as named
    from common.errors import BadUsage

    setting = named(benchmark)
    if (on is None) != (against is None):
        raise BadUsage("--on and --against go together: a benchmark, and the file of its labels")
    further = {named(on).name: against} if on is not None and against is not None else {}

    from analysis.studies.found.formulas import judge
    from analysis.tables.found.formulas import frame, table
    from common.cli import print_table

    found = table(frame(judge(setting, formulas, further=further)), benchmark).typeset()
    print(found.caption)
    print_table([*found.head], [[*row] for row in found.rows])


@app.command("student")
def student_command(
    file: Annotated[Path, typer.Argument(help="A record that `python -m search student` has written.")],
    figures: Annotated[Path | None, typer.Option(help="Folder for the figure; default: beside that of FILE.")] = None,
) -> None:
    """A student that was found and distilled: accuracy beside KD and vanilla, cost of each step, learned weights."""
    from analysis.pages.student import print_report, report

    print_report(report(file, figures))


for name, command in COMMANDS.items():
    app.command(name)(command)
