"""Command line of the analysis: `python -m analysis correlate|teachers|import|reliability|class-pairs`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common.cli import application, print_table

if TYPE_CHECKING:
    from analysis.beside import Beside
    from analysis.correlate import Result
    from analysis.statistics import Correlation, Reliability

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

    from analysis.beside import beside
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
    _print_beside(beside(found, labelled, setting.space))
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


@app.command("recipes")
def recipes_command(
    benchmark: Annotated[str, typer.Option("--benchmark", help="Whose recipes were studied.")] = "cifar10-16px",
    tables: Annotated[Path, typer.Option(help="Folder of the study's accuracy tables.")] = Path("results/recipes"),
    published: Annotated[
        Path | None, typer.Option(help="CSV with cell|index|arch and accuracy, to agree with.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of the table.")] = Path("results/tables"),
) -> None:
    """Recipes of labels beside one another: cost, reliability of accuracies and gain, agreement with published ones."""
    from common.errors import unknown
    from distill.recipes import STUDIED

    if benchmark not in STUDIED:
        raise unknown("benchmark whose recipes are studied", benchmark, STUDIED)

    from analysis.recipe_study import study, write

    for path in write(study(benchmark, tables, published), output / f"recipes-{benchmark}", benchmark):
        print(f"wrote {path}")


@app.command("label-sets")
def label_sets_command(
    tables: Annotated[Path, typer.Option(help="Folder of the accuracy tables.")] = Path("results/accuracies"),
    scores: Annotated[Path, typer.Option(help="Folder of published scores.")] = Path("results/scores"),
    published: Annotated[Path | None, typer.Option(help="CSV file of accuracies that are a set too.")] = None,
    name: Annotated[str, typer.Option(help="What that set is called.")] = "published",
    output: Annotated[Path, typer.Option(help="Folder of the tables.")] = Path("results/tables"),
) -> None:
    """How far label sets agree over the same functions, and proxies' order against them: label-sets[-NAME].csv, ..."""
    from analysis.label_sets import agreements, label_sets, standings, write, write_standings

    labels = label_sets(tables, {} if published is None else {name: published})
    standing = standings(labels, scores)
    path = output / ("label-sets" if published is None else f"label-sets-{name}")
    written = write(agreements(labels, standing), path)
    if published is None and not standing.empty:
        written += write_standings(standing, len(labels), output / "label-sets-proxies")
    print(f"wrote {', '.join(map(str, written))}")


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
    costs: Annotated[Path, typer.Option(help="Folder of measured costs.")] = Path("results/costs"),
    output: Annotated[Path, typer.Option(help="Folder of the tables.")] = Path("results/tables"),
) -> None:
    """Every table from published scores and accuracies: <what>-<benchmark>.csv, .md and .tex (results/README.md)."""
    from bench.benchmarks import benchmark as named
    from common.errors import BadInput

    chosen = [benchmark] if benchmark else sorted(path.parent.name for path in scores.glob("*/manifest.json"))
    settings = [named(each) for each in chosen]  # before what is slow to import
    if not settings:
        raise BadInput(f"no published scores in {scores}: `python -m bench export` makes them")

    from analysis.tables import write_all, write_leaderboard, write_pairs
    from distill.tables import table_path

    for setting in settings:
        if against:
            written = iter([write_leaderboard(setting, against, name, cells, scores, costs, output)])
        elif benchmark or table_path(setting.name, "distilled").is_file():
            written = write_all(setting, cells, scores, costs, output)
        else:
            continue
        for paths in written:
            print(f"wrote {', '.join(map(str, paths))}")
    for paths in write_pairs(benchmark, output) if not against else ():
        print(f"wrote {', '.join(map(str, paths))}")


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
    """Figures from published scores, subgraphs and processes: <benchmark>-<against>-<figure>.svg and .png, ..."""
    from bench.benchmarks import benchmark as named
    from common.errors import BadInput

    chosen = [named(benchmark).name] if benchmark else []  # before what is slow to import

    from analysis.figures import draw_all, draw_processes, draw_speeds, draw_subgraphs
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
        for path in draw_subgraphs(each, output=output):
            print(f"wrote {path}")
    for path in (*draw_processes(output=output), *draw_speeds(output=output)):
        print(f"wrote {path}")


@app.command("report")
def report_command(
    results: Annotated[Path, typer.Option(help="Folder with scores, accuracies, costs, tables and figures.")] = Path(
        "results"
    ),
    output: Annotated[Path | None, typer.Option(help="The page; default: report.html in that folder.")] = None,
) -> None:
    """One self-contained HTML page of what is stored: leaderboards, scatter plots, figures, recipes, provenance."""
    from common.errors import BadInput

    if not results.is_dir():
        raise BadInput(f"--results {results}: no such folder")

    from analysis.report import write

    path = output or results / "report.html"
    found = write(results, path)
    names = ", ".join(section.setting.name for section in found.sections)
    print(f"wrote {path} ({path.stat().st_size / 2**20:.1f} MiB): {names}; open it in a browser")


@app.command("searches")
def searches_command(
    benchmark: Annotated[str, typer.Option("--benchmark", help="Benchmark whose searches to judge.")] = "digits",
    searches: Annotated[Path, typer.Option(help="Folder of finished searches.")] = Path("results/searches"),
    costs: Annotated[Path, typer.Option(help="Folder of measured costs.")] = Path("results/costs"),
    against: Annotated[str, typer.Option(help="distilled, vanilla, or a file of accuracies.")] = "distilled",
    unlabelled: Annotated[
        Path | None,
        typer.Option(help="File for the found cells that lack a label, for `distill run --cells`."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array on standard output.")] = False,
) -> None:
    """What `python -m search` has found, by trained accuracy: the student's, its regret and rank, and the cost."""
    from bench.benchmarks import benchmark as named

    setting = named(benchmark)

    from analysis.labels import known_labels
    from analysis.searches import entry, judge, print_judged
    from common.files import write_whole

    labels, chosen = known_labels(benchmark, against)
    found, missing = judge(setting, labels, searches, costs, chosen, against)
    if unlabelled is not None:
        write_whole(unlabelled, "".join(f"{cell}\n" for cell in missing).encode())
    if as_json:
        print(json.dumps([entry(one) for one in found], indent=2))
        return
    print_judged(found, missing, benchmark, against)


@app.command("student")
def student_command(
    file: Annotated[Path, typer.Argument(help="A record that `python -m search student` has written.")],
    figures: Annotated[Path | None, typer.Option(help="Folder for the figure; default: beside that of FILE.")] = None,
) -> None:
    """A student that was found and distilled: accuracy beside KD and vanilla, cost of each step, learned weights."""
    from analysis.student import print_report, report

    print_report(report(file, figures))


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


@app.command("readme")
def readme_command() -> None:
    """Write the leaderboard of README.md from the tables."""
    from analysis.readme import PAGE, page
    from common.files import write_whole

    write_whole(PAGE, page(PAGE.read_text(encoding="utf-8")).encode())
    print(f"wrote the leaderboard of {PAGE}")


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
        seeds = ",".join(map(str, result.seeds)) or "none needed"
        rows.append([result.proxy, result.correlation.n, f"{result.coverage:.1%}", *_said(result.correlation), seeds])
        if result.worst is not None:
            rows.append(["  failed ranked last", result.worst.n, "", *_said(result.worst), ""])
    print_table(["proxy", "n", "coverage", "Kendall", "Spearman", "95 % interval", "Pearson", "seeds"], rows)


def _print_beside(found: list[Beside]) -> None:
    rows: list[list[object]] = [
        [
            one.proxy,
            one.over.n,
            _signed(one.over.difference),
            f"{_signed(one.over.low)} to {_signed(one.over.high)}",
            "–" if math.isnan(one.over.p_holm) else "< .001" if one.over.p_holm < 0.001 else f"{one.over.p_holm:.3f}",
            _signed(one.given),
        ]
        for one in found
    ]
    print("\nbeside params, on the cells that both score; p corrected for all proxies named (Holm)")
    print_table(["proxy", "n", "Spearman over params", "95 % interval", "p", "partial Spearman given params"], rows)


def _signed(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:+.3f}"


def _said(found: Correlation) -> list[str]:
    def number(value: float) -> str:
        return "–" if math.isnan(value) else f"{value:.3f}"

    interval = "–" if math.isnan(found.spearman_low) else f"{found.spearman_low:.3f} to {found.spearman_high:.3f}"
    return [number(found.kendall), number(found.spearman), interval, number(found.pearson)]


def _ceiling(found: Reliability | None) -> str:
    if found is None:
        return "ceiling: unknown, the labels have a single seed"
    return (
        f"ceiling: labels of two seeds agree with Spearman {found.spearman:.3f}, Kendall {found.kendall:.3f} "
        f"({found.cells} cells); reliability of the {found.seeds}-seed mean {found.reliability:.3f}, "
        f"so a proxy that knew the true ranking would reach Spearman {found.ceiling:.3f}"
    )
