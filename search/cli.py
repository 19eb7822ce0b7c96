"""Command line of the search: `python -m search evolve,random,... --proxy diswot` and `python -m search subgraph`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from bench.options import Modules
from common import results
from common.cli import (
    CELLS,
    Data,
    Device,
    Json,
    application,
    at_least_one,
    choose_device,
    data_folder,
    parse_seeds,
    print_table,
)
from common.errors import BadUsage
from search.formula.cli import COMMANDS
from search.subgraph.words import FOLDER

if TYPE_CHECKING:
    from proxies.base import Proxy
    from search.methods.base import Method
    from search.records import Found

SEARCH = "search"


class _SearchUnlessNamed(TyperGroup):
    """Words that begin with no command are those of `search`: `python -m search evolve` needs no second word."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = [SEARCH, *args]
        return super().parse_args(ctx, args)


app = application(
    "Find a student: by a score or a trained accuracy on a budget (`python -m search METHODS`), or as a subgraph of "
    "the teacher (`python -m search subgraph`).",
    group=_SearchUnlessNamed,
)


@app.command(SEARCH)
def search_command(
    methods: Annotated[
        str,
        typer.Argument(
            help="evolve (DisWOT's Algorithm 1), random, regularised, local, reinforce, tpe, bohb, predict, rank (the "
            "whole space), several joined by commas, or all; evolve:population=50:top_k=3 sets fields."
        ),
    ],
    proxy: Annotated[str, typer.Option(help="Proxy to search by.")] = "diswot",
    accuracy: Annotated[
        str | None,
        typer.Option(help="Search by trained validation accuracy instead: distilled, vanilla, or an accuracy table."),
    ] = None,
    shorter: Annotated[
        str | None, typer.Option(help="With --accuracy: table of shorter trainings, which bohb looks at first.")
    ] = None,
    benchmark: Annotated[str, typer.Option("--benchmark", help="Benchmark to find a student for.")] = "digits",
    seeds: Annotated[str, typer.Option(help="Seeds of scores or trainings, such as 0-2; their mean counts.")] = "0",
    runs: Annotated[int, typer.Option(help="Searches a method, each with randomness of its own.")] = 20,
    budget: Annotated[int, typer.Option(help="Cells that a search may evaluate; rank takes all.")] = 200,
    max_params: Annotated[str | None, typer.Option(help="Parameters at most, such as 0.5M.")] = None,
    max_flops: Annotated[str | None, typer.Option(help="Multiply-adds of one image at most, such as 80M.")] = None,
    max_latency: Annotated[
        str | None, typer.Option(help="Milliseconds of a forward pass of the batch at most, on this machine.")
    ] = None,
    cells: Annotated[str, typer.Option(help=f"{CELLS}.")] = "all",
    teacher: Annotated[str, typer.Option("--teacher", help="Teacher of the scores, as in `bench run`.")] = "default",
    store: Annotated[Path, typer.Option("--store", help="Score store: read, and extended.")] = results.SCORE_STORE,
    data: Data = None,
    device: Device = "auto",
    retry: Annotated[bool, typer.Option("--retry", help="Try again what has no score.")] = False,
    proxy_module: Modules = None,
    output: Annotated[Path, typer.Option(help="Folder of finished searches.")] = results.SEARCHES,
    as_json: Json = False,
) -> None:
    """Search by a score or an accuracy, and write down what was found: `python -m search METHODS` without this word.

    The same command goes on where it was stopped, to the same answers.
    """
    at_least_one("--runs", runs)
    at_least_one("--budget", budget)
    from bench.benchmarks import benchmark as named
    from bench.benchmarks import with_teacher
    from bench.plan import select_of
    from search.constraints import limit
    from search.methods.registry import choose

    if shorter and not accuracy:
        raise BadUsage("--shorter: it goes with --accuracy, since a score has no shorter form of itself")
    chosen, files = choose(methods, shorter is not None), tuple(proxy_module or ())
    most = {"params": max_params, "flops": max_flops, "latency": max_latency}
    limits = [limit(what, text) for what, text in most.items() if text is not None]
    numbers, folder = tuple(parse_seeds(seeds)), data_folder(data)
    among = select_of(cells, named(benchmark))
    judge = None if accuracy else _one(proxy, files)
    setting = with_teacher(named(benchmark), teacher)  # last: a trained teacher is loaded

    from search import objective as objectives
    from search.latency import latency
    from search.records import write
    from search.searches import Plan, search, settings, space_of

    where = choose_device(device)
    made = None
    if judge is None:
        objective = objectives.by_accuracy(str(accuracy), setting, numbers, shorter)
    else:
        from bench.ondemand import OnDemand
        from bench.runner import Request
        from bench.store import ScoreStore

        request = Request(setting, (judge,), numbers, device=where, data=folder, files=files, retry=retry)
        made = OnDemand(request, ScoreStore(store))
        objective = objectives.by_proxy(request, made)
    times = latency(setting, where, output) if max_latency else None
    plan = Plan(setting, cells, tuple(limits), runs, budget, times)
    space = space_of(plan, among, objective)
    entries, rows, paths = [], [], []
    for method in chosen:
        start, before = time.monotonic(), made.passes if made else 0
        found = search(method, objective, plan, space)
        record = settings(method, objective, plan, space)
        paths.append(write(found, record, output))
        entries.append(record | {"found": [vars(one) for one in found]})
        rows.append(_line(method, found, made.passes - before if made else 0, time.monotonic() - start))
    if made:
        made.close()
    if as_json:
        print(json.dumps(entries, indent=2))
        return
    print(
        f"{benchmark} by {objective.name}, seeds {seeds}: {len(space.allowed)} cells, "
        f"{len(set(space.classes))} functions to choose from"
    )
    head = [
        "method",
        "searches",
        "best found",
        "how often",
        "its score",
        "mean",
        "evaluations",
        "new passes",
        "seconds",
    ]
    print_table(head, rows)
    for cell in dict.fromkeys(row[2] for row in rows if isinstance(row[2], int)):
        print(f"cell {cell}: {setting.space.at(cell)}")
    print(f"wrote {', '.join(map(str, paths))}")


@app.command("student")
def student_command(
    proxy: Annotated[str, typer.Option(help="Proxy to search by.")] = "diswot",
    method: Annotated[str, typer.Option(help="One method of search; evolve is DisWOT's Algorithm 1.")] = "evolve",
    benchmark: Annotated[str, typer.Option("--benchmark", help="Recipe to find and distil a student for.")] = "digits",
    seeds: Annotated[str, typer.Option(help="Seeds of the trainings, such as 0-4.")] = "0-4",
    budget: Annotated[int, typer.Option(help="Cells that the search may evaluate.")] = 200,
    max_params: Annotated[str | None, typer.Option(help="Parameters at most, such as 0.5M.")] = None,
    max_flops: Annotated[str | None, typer.Option(help="Multiply-adds of one image at most, such as 80M.")] = None,
    process: Annotated[
        Path | None, typer.Option(help="Process to distil by, of any pair; default: learn the student's own.")
    ] = None,
    store: Annotated[Path, typer.Option("--store", help="Score store: read, and extended.")] = results.SCORE_STORE,
    data: Data = None,
    device: Device = "auto",
    retry: Annotated[bool, typer.Option("--retry", help="Try again what has no score.")] = False,
    proxy_module: Modules = None,
    output: Annotated[Path, typer.Option(help="Folder of the results.")] = results.RESULTS,
) -> None:
    """From a proxy to a distilled student: find it, learn the process that distils it, train it by that, by KD and
    without a teacher. The last line is the file that `python -m analysis student` reports of.

    The same command goes on where it was stopped, to the same student, process and accuracies.
    """
    at_least_one("--budget", budget)
    from bench.benchmarks import benchmark as named
    from bench.plan import select
    from distill.recipe_name import RecipeName
    from distill.recipes import recipe as recipe_of
    from search.constraints import limit
    from search.methods.registry import choose

    recipe_of(benchmark)
    setting, chosen = named(RecipeName.parse(benchmark).base), choose(method)
    if len(chosen) > 1:
        raise BadUsage(f"--method '{method}': a student is found by one method")
    most = {"params": max_params, "flops": max_flops}
    limits = [limit(what, text) for what, text in most.items() if text is not None]
    numbers, folder, files = parse_seeds(seeds), data_folder(data), tuple(proxy_module or ())
    judge = _one(proxy, files)

    from bench.ondemand import OnDemand
    from bench.runner import Request
    from bench.store import ScoreStore
    from search.searches import Plan
    from search.student import PROCESS_SEED, Folders, student

    if process is None and PROCESS_SEED in numbers:
        raise BadUsage(f"--seeds {seeds}: seed {PROCESS_SEED} is of the search of the process")
    request = Request(setting, (judge,), (0,), device=choose_device(device), data=folder, files=files, retry=retry)
    scores = OnDemand(request, ScoreStore(store))
    plan = Plan(setting, "all", tuple(limits), 1, budget)
    folders = Folders(output / "store/rehearsal" if RecipeName.parse(benchmark).rehearsal else output, output / "store")
    path = student(plan, select("all", setting.space), chosen[0], request, scores, benchmark, numbers, process, folders)
    scores.close()
    print(path)


@app.command("subgraph")
def subgraph_command(
    budget: Annotated[str, typer.Option(help="Parameters at most, such as 20k, or a share of the teacher's graph.")],
    gates: Annotated[
        str, typer.Option(help="edges or operations of a cell; blocks or channels of a ResNet teacher.")
    ] = "edges",
    benchmark: Annotated[str, typer.Option("--benchmark", help="Benchmark whose recipe trains students.")] = "digits",
    seeds: Annotated[str, typer.Option(help="Seeds of selections and of trainings, such as 0-4.")] = "0-4",
    teacher: Annotated[
        str | None, typer.Option(help="Trained teacher, such as digits-resnet20; default: that of the labels.")
    ] = None,
    channels: Annotated[int | None, typer.Option(help="Channels of the graph's stem; default: the teacher's.")] = None,
    depth: Annotated[int | None, typer.Option(help="Cells, or blocks, a stage of the graph; likewise.")] = None,
    rivals: Annotated[int, typer.Option(help="Random subgraphs a seed, where there are so many.")] = 8,
    vanilla: Annotated[bool, typer.Option(help="Train every network without the teacher too.")] = True,
    warm: Annotated[int, typer.Option(help="Steps before the penalty begins.")] = 100,
    growth: Annotated[float, typer.Option(help="What a step adds to the penalty's weight.")] = 5e-3,
    steps: Annotated[int, typer.Option(help="Steps of a selection at most.")] = 1500,
    workers: Annotated[int, typer.Option("--workers", help="Processes.")] = 1,
    store: Annotated[Path, typer.Option("--store", help="Finished trainings: read, and extended.")] = Path(
        "results/store/subgraphs.sqlite"
    ),
    data: Data = None,
    device: Device = "cpu",
    output: Annotated[Path, typer.Option(help="Folder of the results.")] = FOLDER,
) -> None:
    """Cut a student out of the teacher's graph by L1 gates (after Gu & Tresp, ECAI 2020), and train it again with
    distillation beside equally large random subgraphs and cuts of width and depth.

    The same command goes on where it was stopped, to the same results.
    """
    from dataclasses import replace

    from distill.recipes import MODES
    from distill.recipes import recipe as named
    from search.subgraph.words import budget as budget_of
    from search.subgraph.words import gates as kind_of

    counts = {"--channels": channels, "--depth": depth, "--rivals": rivals, "--steps": steps, "--workers": workers}
    for option, value in counts.items():
        at_least_one(option, value)
    kind, most, numbers, folder = kind_of(gates), budget_of(budget), parse_seeds(seeds), data_folder(data)
    recipe = named(benchmark)
    recipe = replace(recipe, teacher=teacher or recipe.teacher)

    from search.subgraph.selection import Schedule
    from search.subgraph.study import Plan, Study, graph_of

    graph = graph_of(recipe.teacher, kind, channels, depth)
    schedule = Schedule(warm, growth, steps)
    modes = MODES if vanilla else ("distilled",)
    plan = Plan(benchmark, recipe, kind, graph, most.of(graph.parameters), schedule, modes, rivals)
    study = Study(plan, tuple(numbers), store, workers, folder, choose_device(device))
    path, rows = study.run(output)
    print(f"{benchmark}, {kind}, at most {plan.budget:,} of {graph.parameters:,} parameters, seeds {seeds}")
    print_table(["kind", "networks", "parameters", *modes], _by_kind(rows, modes))
    print(f"wrote {path}")


def _by_kind(rows: list[dict[str, Any]], modes: tuple[str, ...]) -> list[list[object]]:
    """Means over seeds and networks."""
    lines = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        part = [row for row in rows if row["kind"] == kind]
        means = []
        for mode in modes:
            known = [row[mode] for row in part if row[mode] != ""]
            means.append(f"{sum(known) / len(known):.2f}" if known else "diverged")
        lines.append([kind, len(part), round(sum(row["parameters"] for row in part) / len(part)), *means])
    return lines


def _one(name: str, files: tuple[Path, ...]) -> Proxy:
    """The proxy to search by. Raises BadUsage for several, and for what ranks cells among others."""
    from proxies.base import Proxy
    from proxies.registry import choose

    chosen = choose(name, files)
    if len(chosen) > 1:
        raise BadUsage(f"--proxy '{name}': a search follows one proxy")
    if not isinstance(chosen[0], Proxy):
        raise BadUsage(f"--proxy {name}: it ranks cells among others, so it has no score of one cell to search by")
    return chosen[0]


def _line(method: Method, found: list[Found], passes: int, seconds: float) -> list[object]:
    scored = [(one.score, one.cell) for one in found if one.score is not None]
    evaluations = sum(one.evaluations for one in found) / len(found)
    if not scored:
        return [method.label, len(found), "none has a score", "", "", "", round(evaluations), passes, round(seconds, 1)]
    score, cell = max(scored, key=lambda one: one[0])
    times = sum(one.score == score for one in found)  # other cells of its function too
    mean = sum(score for score, _ in scored) / len(scored)
    spent = [round(evaluations), passes, round(seconds, 1)]
    return [method.label, len(found), cell, times, f"{score:.6g}", f"{mean:.6g}", *spent]


for name, command in COMMANDS.items():
    app.command(name)(command)
