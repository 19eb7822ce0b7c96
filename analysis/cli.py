"""Command line of the analysis: `python -m analysis correlate|import|reliability`."""

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
    proxy_module: Annotated[list[Path] | None, typer.Option(help="Python file that defines proxies.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array on standard output; no figures.")] = False,
) -> None:
    """Kendall tau-b, Spearman with its 95 % bootstrap interval, and Pearson, with params and flops beside."""
    from bench.benchmarks import benchmark as named
    from proxies.registry import create_all

    chosen, setting = create_all(",".join(proxies), tuple(proxy_module or ())), named(benchmark)

    from analysis.correlate import label_cells, results
    from analysis.labels import load_labels
    from analysis.statistics import reliability

    labels = load_labels(against, benchmark)
    which = cells or ("functions" if labels.of_functions else "all")
    labelled = label_cells(labels, which)
    found = results(store, setting, chosen, labelled)
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
