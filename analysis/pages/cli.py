"""The commands of `python -m analysis` that write tables, figures and pages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from bench.options import Modules
from common import results as places
from common.cli import CELLS, PROXIES, Json, print_table


def recipes_command(
    benchmark: Annotated[str, typer.Option("--benchmark", help="Whose recipes were studied.")] = "cifar10-16px",
    tables: Annotated[Path, typer.Option(help="Folder of the study's accuracy tables.")] = places.RECIPES,
    published: Annotated[
        Path | None, typer.Option(help="CSV with cell|index|arch and accuracy, to agree with.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of the table.")] = places.TABLES,
) -> None:
    """Recipes of labels beside one another: cost, reliability of accuracies and gain, agreement with published ones."""
    from common.errors import unknown
    from distill.recipes import STUDIED

    if benchmark not in STUDIED:
        raise unknown("benchmark whose recipes are studied", benchmark, STUDIED)

    from analysis.bibliography import write
    from analysis.studies.recipes import study
    from analysis.tables.recipes import frame, table

    found = table(frame(study(benchmark, tables, published)), benchmark)
    for path in write(found, output / f"recipes-{benchmark}"):
        print(f"wrote {path}")


def label_sets_command(
    tables: Annotated[Path, typer.Option(help="Folder of the accuracy tables.")] = places.ACCURACIES,
    scores: Annotated[Path, typer.Option(help="Folder of published scores.")] = places.SCORES,
    published: Annotated[Path | None, typer.Option(help="CSV file of accuracies that are a set too.")] = None,
    name: Annotated[str, typer.Option(help="What that set is called.")] = "published",
    output: Annotated[Path, typer.Option(help="Folder of the tables.")] = places.TABLES,
) -> None:
    """How far label sets agree over the same functions, and proxies' order against them: label-sets[-NAME].csv, ..."""
    from analysis.bibliography import write
    from analysis.studies.labels.agreement import agreements, label_sets, standings
    from analysis.tables.label_sets import frame, proxies_frame, proxies_table, table

    labels = label_sets(tables, {} if published is None else {name: published})
    standing = standings(labels, scores)
    path = output / ("label-sets" if published is None else f"label-sets-{name}")
    written = write(table(frame(agreements(labels, standing))), path)
    if published is None and not standing.empty:
        written += write(proxies_table(proxies_frame(standing)), output / "label-sets-proxies")
    print(f"wrote {', '.join(map(str, written))}")


def tables_command(
    benchmark: Annotated[str | None, typer.Option("--benchmark", help="Default: all with published scores.")] = None,
    against: Annotated[str | None, typer.Option(help="A file of accuracies in place of the accuracy tables.")] = None,
    name: Annotated[str, typer.Option(help="What the table against a file is called.")] = "published",
    cells: Annotated[str | None, typer.Option(help=f"{CELLS}; default: what the labels are of.")] = None,
    scores: Annotated[Path, typer.Option(help="Folder of published scores.")] = places.SCORES,
    costs: Annotated[Path, typer.Option(help="Folder of measured costs.")] = places.COSTS,
    output: Annotated[
        Path | None,
        typer.Option(help=f"Folder of the tables; default: {places.TABLES}, against a file {places.OWN_TABLES}."),
    ] = None,
) -> None:
    """Every table from published scores and accuracies: <what>-<benchmark>.csv, .md and .tex (results/README.md)."""
    from bench.benchmarks import benchmark as named
    from common.errors import BadInput

    chosen = [benchmark] if benchmark else sorted(path.parent.name for path in scores.glob("*/manifest.json"))
    settings = [named(each) for each in chosen]  # before what is slow to import
    if not settings:
        raise BadInput(f"no published scores in {scores}: `python -m bench export` makes them")

    from analysis.read.labels import TABLES
    from analysis.tables.registry import Sources, write_all, write_distillation, write_leaderboard
    from common.reproducible import keep_memory
    from distill.tables import table_path

    keep_memory()
    output = output or (places.TABLES if against in (None, *TABLES) else places.OWN_TABLES)

    for setting in settings:
        sources = Sources(setting, cells, scores, costs)
        if against:
            written = iter([write_leaderboard(sources, against, name, output)])
        elif benchmark or table_path(setting.name, "distilled").is_file():
            written = write_all(sources, output)
        else:
            continue
        for paths in written:
            print(f"wrote {', '.join(map(str, paths))}")
    for paths in write_distillation(benchmark, output) if not against else ():
        print(f"wrote {', '.join(map(str, paths))}")


def figures_command(
    benchmark: Annotated[str | None, typer.Option("--benchmark", help="Default: all with published scores.")] = None,
    against: Annotated[str, typer.Option(help="distilled, vanilla, gain or a file of accuracies.")] = "distilled",
    proxies: Annotated[str | None, typer.Option(help=f"{PROXIES} For figures with room for few.")] = None,
    cells: Annotated[str | None, typer.Option(help=f"{CELLS}; default: what the labels are of.")] = None,
    scores: Annotated[Path, typer.Option(help="Folder of published scores.")] = places.SCORES,
    costs: Annotated[Path, typer.Option(help="Folder of measured costs.")] = places.COSTS,
    output: Annotated[
        Path | None,
        typer.Option(help=f"Folder of the figures; default: {places.FIGURES}, against a file {places.SCATTERS}."),
    ] = None,
) -> None:
    """Figures from published scores, subgraphs and processes: <benchmark>-<against>-<figure>.svg and .png, ..."""
    from bench.benchmarks import benchmark as named
    from common.errors import BadInput

    chosen = [named(benchmark).name] if benchmark else []  # before what is slow to import

    from analysis.figures.draw import draw_all
    from analysis.figures.learning import draw_all as draw_learning
    from analysis.figures.process import draw_all as draw_processes
    from analysis.figures.speed import draw_all as draw_speeds
    from analysis.figures.subgraph import draw_all as draw_subgraphs
    from analysis.read.labels import TABLES, load_labels
    from common.reproducible import keep_memory
    from distill.tables import table_path

    keep_memory()
    own = against not in TABLES
    output = output or (places.SCATTERS if own else places.FIGURES)

    if not benchmark:
        found = sorted(path.parent.name for path in scores.glob("*/manifest.json"))
        chosen = [name for name in found if table_path(name, "distilled").is_file()]
    if not chosen:
        raise BadInput(f"no published scores with an accuracy table in {scores}: `python -m bench export` makes them")
    few = [name.strip() for name in proxies.split(",")] if proxies else None
    for each in chosen:
        labels = load_labels(against, each)
        which = labels.set_of(cells)
        for path in draw_all(named(each), against, labels, which, scores, costs, output, few):
            print(f"wrote {path}")
        for path in () if own else draw_subgraphs(each, output=output):
            print(f"wrote {path}")
        for path in draw_learning(each, output=output) if against == "distilled" else ():
            print(f"wrote {path}")
    for path in () if own else (*draw_processes(output=output), *draw_speeds(output=output)):
        print(f"wrote {path}")


def predict_command(
    benchmark: Annotated[str, typer.Option("--benchmark", help="Benchmark whose labels to learn from.")] = "digits",
    labels: Annotated[
        int | None, typer.Option(help="Rank all functions by so many labels, drawn by --seed, instead of the study.")
    ] = None,
    learner: Annotated[str, typer.Option(help="Of that ranking: ridge, forest, boosting or gp.")] = "gp",
    features: Annotated[
        str | None,
        typer.Option(help="Of that ranking: operations, graph, proxies or all; default: all, where all are scored."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of that ranking: which labels are drawn.")] = 0,
    draws: Annotated[int, typer.Option(help="Of the study: draws of labels, a divisor of 1,000.")] = 100,
    workers: Annotated[int | None, typer.Option(help="Processes of the study; default: one for each core.")] = None,
    scores: Annotated[Path, typer.Option(help="Folder of published scores.")] = places.SCORES,
    costs: Annotated[Path, typer.Option(help="Folder of measured costs.")] = places.COSTS,
    output: Annotated[
        Path | None, typer.Option(help="Folder of what is written; default: results/predictions, of a ranking store/.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Rankings that learn from k labels: a study of how good they are, or with --labels one ranking of all functions.

    The study is for `tables` and `figures`; the ranking says what to distil next, too.
    """
    from analysis.pages import predict
    from bench.benchmarks import benchmark as named
    from common.cli import at_least_one, not_negative
    from common.errors import BadUsage
    from common.pool import cores

    setting = named(benchmark)
    at_least_one("--workers", workers)
    not_negative("--seed", seed)
    if labels is None:
        if draws < 1 or 1000 % draws:
            raise BadUsage(f"--draws {draws}: it is no divisor of 1,000")
        predict.study(setting, scores, costs, draws, workers or cores(), output or places.PREDICTIONS, as_json)
    else:
        predict.rank(setting, scores, labels, learner, features, seed, output or places.RANKINGS, as_json)


def report_command(
    results: Annotated[
        Path, typer.Option(help="Folder with scores, accuracies, costs, tables and figures.")
    ] = places.RESULTS,
    output: Annotated[Path | None, typer.Option(help="The page; default: report.html in that folder.")] = None,
    store: Annotated[
        Path | None, typer.Option("--store", help="Your scores, shown beside; default: the store in that folder.")
    ] = None,
    proxy_module: Modules = None,
) -> None:
    """One self-contained HTML page of what is stored: figures, leaderboards, scatter plots, recipes, provenance."""
    from common.errors import BadInput

    if not results.is_dir():
        raise BadInput(f"--results {results}: no such folder")
    if store is not None and not store.is_file():
        raise BadInput(f"--store {store}: no such file")

    from analysis.report import write

    path = output or results / "report.html"
    found = write(results, path, store or results / places.SCORE_STORE.relative_to(places.RESULTS))
    names = ", ".join(section.setting.name for section in found.sections)
    print(f"wrote {path} ({path.stat().st_size / 2**20:.1f} MiB): {names}; open it in a browser")


def proxy_docs_command(
    check: Annotated[bool, typer.Option("--check", help="Only say whether the page is what would be written.")] = False,
) -> None:
    """Write docs/proxies.md from the registry and the tables."""
    from analysis.pages.proxy_docs import PAGE, page
    from common.errors import BadInput
    from common.formats import write_text

    text = page()
    if not check:
        write_text(PAGE, text)
        print(f"wrote {PAGE}")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        raise BadInput(f"{PAGE} is stale: run `python -m analysis proxy-docs`")


def network_docs_command() -> None:
    """Write the table of docs/guides/your-network.md: which proxies score which kinds of networks."""
    from analysis.pages.your_network import PAGE, outcomes, whole_page
    from common.formats import read_text, write_text

    write_text(PAGE, whole_page(read_text(PAGE), outcomes()))
    print(f"wrote the table of {PAGE}")


def readme_command() -> None:
    """Write what README.md, docs/labels.md and docs/performance.md state of results and rooms, docs/results.md and
    docs/labels.json, from the tables and the tree."""
    from analysis.pages import label_card, performance, readme, results
    from common.formats import read_text, write_json, write_text

    write_text(readme.PAGE, readme.whole_page(read_text(readme.PAGE)))
    write_text(results.PAGE, results.page())
    write_text(label_card.PAGE, label_card.whole_page(read_text(label_card.PAGE)))
    write_text(performance.PAGE, performance.whole_page(read_text(performance.PAGE)))
    write_json(label_card.CARD, label_card.finite({"labels": label_card.cards()}))
    parts = f"{readme.PAGE}, {label_card.PAGE} and {performance.PAGE}"
    print(f"wrote what is made of {parts}, {label_card.CARD}, and {results.PAGE}")


def architecture_command() -> None:
    """Draw the rooms and their imports in docs/architecture.md."""
    from analysis.pages.architecture import PAGE, page
    from common.formats import read_text, write_text

    write_text(PAGE, page(read_text(PAGE)))
    print(f"wrote the picture of {PAGE}")


def check_reference_command(
    data: Annotated[Path, typer.Option("--data", help="Folder with nb201/, the published scores and accuracies.")],
    store: Annotated[Path, typer.Option("--store", help="Score store.")] = places.SCORE_STORE,
    output: Annotated[Path, typer.Option(help="Folder of the table.")] = places.TABLES,
) -> None:
    """Our scores beside published ones, cell by cell, and our correlations beside published ones."""
    from analysis.bibliography import write_papers
    from analysis.studies.reference_check import check, described, table
    from common.files import together
    from common.formats import write_csv

    found = check(store, data)
    path = output / "reference-check.csv"
    with together():
        write_csv(path, frame := table(found))
        papers = write_papers(frame, path.with_suffix(""))
    print_table(
        ["proxy", "agreement, CIFAR-10", "asked", "own seeds", "reported, CIFAR-100", "measured, CIFAR-100", "verdict"],
        [described(one) for one in found],
    )
    print(f"wrote {', '.join(map(str, (path, *papers)))}")


COMMANDS: dict[str, Callable[..., None]] = {
    "recipes": recipes_command,
    "label-sets": label_sets_command,
    "tables": tables_command,
    "figures": figures_command,
    "predict": predict_command,
    "report": report_command,
    "proxy-docs": proxy_docs_command,
    "network-docs": network_docs_command,
    "readme": readme_command,
    "architecture": architecture_command,
    "check-reference": check_reference_command,
}
