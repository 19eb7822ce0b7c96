"""Command line of the analysis: `python -m analysis correlate|teachers|import|reliability|class-pairs`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common.cli import application, print_table

if TYPE_CHECKING:
    from analysis.correlate import Result
    from analysis.statistics import Reliability

app = application("How well scores rank cells the way accuracies do.")


@app.callback()
def main() -> None:
    """How well scores rank cells the way accuracies do."""


@app.command("correlate")
def correlate_command(
    proxies: Annotated[list[str], typer.Argument(help="Names, separated by spaces or commas, or all.")],
    benchmark: Annotated[str, typer.Option("--benchmark", help="Benchmark whose scores to judge.")] = "digits",
    against: Annotated[
        str, typer.Option(help="distilled, vanilla, gain, a table, or a CSV file with cell|index|arch and accuracy.")
    ] = "distilled",
    cells: Annotated[
        str | None, typer.Option(help="all, valid, unique, functions or a file; default: what the labels are of.")
    ] = None,
    store: Annotated[Path, typer.Option("--store", help="Score store.")] = Path("results/store/scores.sqlite"),
    figures: Annotated[Path, typer.Option(help="Folder for the scatter plots.")] = Path("results/figures"),
    teacher: Annotated[str, typer.Option("--teacher", help="Teacher of the scores, as in `bench run`.")] = "default",
    proxy_module: Annotated[list[Path] | None, typer.Option(help="Python file that defines proxies.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array on standard output; no figures.")] = False,
) -> None:
    """Kendall tau-b, Spearman with its 95 % bootstrap interval, and Pearson, with params and flops beside."""
    from bench.benchmarks import benchmark as named
    from bench.benchmarks import with_teacher
    from proxies.registry import choose

    files = tuple(proxy_module or ())
    chosen = choose(",".join(proxies), files)
    setting = with_teacher(named(benchmark), teacher)

    from analysis.correlate import label_cells, results
    from analysis.labels import load_labels
    from analysis.statistics import reliability

    labels = load_labels(against, benchmark)
    which = cells or ("functions" if labels.of_functions else "all")
    labelled = label_cells(labels, which)
    found = results(store, setting, chosen, labelled, which, files)
    if as_json:
        print(json.dumps([_entry(result, benchmark, against, which) for result in found], indent=2))
        return
    _print(found, f"{benchmark} against {against} ({labels.source})", which, len(labelled))
    print(_ceiling(reliability(labels.by_seed)))
    print(f"scores: {store}")

    from analysis.figures import scatter

    for result in found[: len(chosen)]:
        path = scatter(result, benchmark, against, which, labels.quantity, figures)
        print(f"figure: {path}")


@app.command("teachers")
def teachers_command(
    proxy: Annotated[str, typer.Argument(help="A proxy that compares a student with a teacher, such as diswot.")],
    benchmark: Annotated[str, typer.Option("--benchmark", help="Benchmark whose scores to compare.")] = "digits",
    against: Annotated[
        str | None, typer.Option(help="Labels, as in `correlate`; default: distilled, where there is a table.")
    ] = None,
    cells: Annotated[str, typer.Option(help="all, valid, unique, functions or a file.")] = "functions",
    store: Annotated[Path, typer.Option("--store", help="Score store.")] = Path("results/store/scores.sqlite"),
    proxy_module: Annotated[list[Path] | None, typer.Option(help="Python file that defines proxies.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array on standard output.")] = False,
) -> None:
    """How far a proxy's ranking moves when the teacher changes, beside how far it moves with the draw of weights."""
    from bench.benchmarks import benchmark as named
    from common.errors import BadUsage
    from proxies.registry import create

    chosen, setting = create(proxy, tuple(proxy_module or ())), named(benchmark)
    if "teacher" not in chosen.needs:
        raise BadUsage(f"{chosen.label} does not read the teacher: no teacher moves its ranking")

    from analysis.teachers import entries, print_study, study

    found = study(store, setting, chosen, cells, against)
    if as_json:
        print(json.dumps(entries(found), indent=2))
        return
    print_study(found)


@app.command("import")
def import_command(
    format: Annotated[str, typer.Argument(help="nas-bench-201, nats-bench, diswot-json, resnet-depths or csv.")],
    file: Annotated[Path, typer.Argument(help="The published file; of nats-bench the 'simple' folder too.")],
    dataset: Annotated[str, typer.Option(help="cifar10, cifar100 or imagenet16-120.")],
    epochs: Annotated[
        int | None, typer.Option(help="Of a benchmark's trainings, 12 or 200 (default); else what to state.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the table; default: data set and format or file.")] = None,
    output: Annotated[Path, typer.Option(help="Folder for the table.")] = Path("results/accuracies"),
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
    tables: Annotated[Path, typer.Option(help="Folder of the accuracy tables.")] = Path("results/accuracies"),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array on standard output.")] = False,
) -> None:
    """Agreement of seeds, ceilings, vanilla against distilled, and the gain of distillation."""
    from bench.benchmarks import benchmark as named

    setting = named(benchmark)

    from analysis.reliability import entry, print_report, report

    found = report(setting, tables)
    if as_json:
        print(json.dumps([entry(found)], indent=2))
        return
    print_report(found)


@app.command("class-pairs")
def class_pairs_command(
    benchmark: Annotated[str, typer.Option("--benchmark", help="Benchmark whose tables to look at.")] = "digits",
    tables: Annotated[Path, typer.Option(help="Folder of the accuracy tables.")] = Path("results/accuracies"),
) -> None:
    """Whether members of a class share a label after training: tables of BENCHMARK and of BENCHMARK-executed."""
    from analysis.class_pairs import compare, print_agreement

    print_agreement(compare(benchmark, tables))


@app.command("tables")
def tables_command(
    benchmark: Annotated[str | None, typer.Option("--benchmark", help="Default: all with published scores.")] = None,
    against: Annotated[str | None, typer.Option(help="A file of accuracies in place of the accuracy tables.")] = None,
    name: Annotated[str, typer.Option(help="What the table against a file is called.")] = "published",
    cells: Annotated[str | None, typer.Option(help="Cell set; default: what the labels are of.")] = None,
    scores: Annotated[Path, typer.Option(help="Folder of published scores.")] = Path("results/scores"),
    output: Annotated[Path, typer.Option(help="Folder of the tables.")] = Path("results/tables"),
) -> None:
    """Leaderboards from published scores: leaderboard-<benchmark>-<against>.csv, best first."""
    from bench.benchmarks import benchmark as named
    from common.errors import BadInput

    chosen = [benchmark] if benchmark else sorted(path.parent.name for path in scores.glob("*/manifest.json"))
    if not chosen:
        raise BadInput(f"no published scores in {scores}: `python -m bench export` makes them")

    from analysis.labels import TABLES, load_labels
    from analysis.leaderboard import lines, write
    from distill.tables import table_path

    for each in chosen:
        has_tables = benchmark or table_path(each, "distilled").is_file()
        for label in [against] if against else TABLES if has_tables else ():
            labels = load_labels(label, each)
            which = cells or ("functions" if labels.of_functions else "all")
            vanilla = load_labels("vanilla", each) if label == "distilled" else None
            found = lines(scores, named(each), labels, which, vanilla)
            kind = name if against else label
            caption = f"{each}, {kind} ({labels.source}): {len(found)} proxies on the labelled cells of '{which}'."
            paths = write(found, output / f"leaderboard-{each}-{kind}", caption)
            best = ", ".join(f"{line.proxy} {line.spearman:.2f}" for line in found[:3])
            print(f"wrote {', '.join(map(str, paths))}: {len(found)} proxies, cell set '{which}', Spearman {best}")


@app.command("figures")
def figures_command(
    benchmark: Annotated[str | None, typer.Option("--benchmark", help="Default: all with published scores.")] = None,
    against: Annotated[str, typer.Option(help="distilled, vanilla, gain or a file of accuracies.")] = "distilled",
    proxies: Annotated[
        str | None, typer.Option(help="Names, separated by commas, for figures with room for few.")
    ] = None,
    cells: Annotated[str | None, typer.Option(help="Cell set; default: what the labels are of.")] = None,
    scores: Annotated[Path, typer.Option(help="Folder of published scores.")] = Path("results/scores"),
    costs: Annotated[Path, typer.Option(help="Folder of measured costs.")] = Path("results/costs"),
    output: Annotated[Path, typer.Option(help="Folder of the figures.")] = Path("results/figures"),
) -> None:
    """Figures from published scores: <benchmark>-<against>-<figure>.svg and .png."""
    from bench.benchmarks import benchmark as named
    from common.errors import BadInput

    chosen = [named(benchmark).name] if benchmark else []  # before what is slow to import

    from analysis.figures import draw_all
    from analysis.labels import load_labels
    from distill.tables import table_path

    if not benchmark:
        found = sorted(path.parent.name for path in scores.glob("*/manifest.json"))
        chosen = [name for name in found if table_path(name, "distilled").is_file()]
    if not chosen:
        raise BadInput(f"no published scores with an accuracy table in {scores}: `python -m bench export` makes them")
    few = [name.strip() for name in proxies.split(",")] if proxies else None
    for each in chosen:
        labels = load_labels(against, each)
        which = cells or ("functions" if labels.of_functions else "all")
        for path in draw_all(named(each), against, labels, which, scores, costs, output, few):
            print(f"wrote {path}")


@app.command("proxy-docs")
def proxy_docs_command(
    check: Annotated[bool, typer.Option("--check", help="Only say whether the page is what would be written.")] = False,
) -> None:
    """Write docs/proxies.md from the registry and the tables."""
    from analysis.proxy_docs import PAGE, page
    from common.errors import BadInput
    from common.files import write_whole

    text = page()
    if not check:
        write_whole(PAGE, text.encode())
        print(f"wrote {PAGE}")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        raise BadInput(f"{PAGE} is stale: run `python -m analysis proxy-docs`")


@app.command("check-reference")
def check_reference_command(
    data: Annotated[Path, typer.Option("--data", help="Folder with nb201/, the published scores and accuracies.")],
    store: Annotated[Path, typer.Option("--store", help="Score store.")] = Path("results/store/scores.sqlite"),
    output: Annotated[Path, typer.Option(help="Folder of the table.")] = Path("results/tables"),
) -> None:
    """Our scores beside published ones, cell by cell, and our correlations beside published ones."""
    from analysis.reference_check import check, described, table
    from common.files import write_whole

    found = check(store, data)
    path = output / "reference-check.csv"
    write_whole(path, table(found).to_csv(index=False, lineterminator="\n").encode())
    print_table(
        ["proxy", "agreement, CIFAR-10", "asked", "own seeds", "reported, CIFAR-100", "measured, CIFAR-100", "verdict"],
        [described(one) for one in found],
    )
    print(f"wrote {path}")


def _entry(result: Result, benchmark: str, against: str, cells: str) -> dict[str, Any]:
    correlation = result.correlation

    def number(value: float) -> float | None:  # JSON has no NaN
        return None if math.isnan(value) else value

    return {
        "proxy": result.proxy,
        "benchmark": benchmark,
        "against": against,
        "cells": cells,
        "n": correlation.n,
        "coverage": result.coverage,
        "kendall": number(correlation.kendall),
        "spearman": number(correlation.spearman),
        "pearson": number(correlation.pearson),
        "spearman_low": number(correlation.spearman_low),
        "spearman_high": number(correlation.spearman_high),
        "seeds": result.seeds,
    }


def _print(found: list[Result], title: str, cells: str, labelled: int) -> None:
    print(f"{title}; cell set '{cells}', {labelled} labelled cells")
    rows: list[list[object]] = []
    for result in found:
        c = result.correlation
        interval = "–" if math.isnan(c.spearman_low) else f"{c.spearman_low:.3f} to {c.spearman_high:.3f}"
        numbers = ["–" if math.isnan(value) else f"{value:.3f}" for value in (c.kendall, c.spearman, c.pearson)]
        seeds = ",".join(map(str, result.seeds)) or "none needed"
        rows.append([result.proxy, c.n, f"{result.coverage:.1%}", *numbers[:2], interval, numbers[2], seeds])
    print_table(["proxy", "n", "coverage", "Kendall", "Spearman", "95 % interval", "Pearson", "seeds"], rows)


def _ceiling(found: Reliability | None) -> str:
    if found is None:
        return "ceiling: unknown, the labels have a single seed"
    return (
        f"ceiling: labels of two seeds agree with Spearman {found.spearman:.3f}, Kendall {found.kendall:.3f} "
        f"({found.cells} cells); reliability of the {found.seeds}-seed mean {found.reliability:.3f}, "
        f"so a proxy that knew the true ranking would reach Spearman {found.ceiling:.3f}"
    )
