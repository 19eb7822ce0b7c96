"""Command line of the search: `python -m search evolve,random,... --proxy diswot`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from common.cli import application, at_least_one, choose_device, data_folder, parse_seeds, print_table

if TYPE_CHECKING:
    from proxies.base import Proxy
    from search.method import Method
    from search.records import Found

app = application("Find a student: the cell of the highest score, or of the highest trained accuracy, on a budget.")


@app.command("search")
def search_command(
    methods: Annotated[
        str,
        typer.Argument(
            help="evolve (DisWOT's Algorithm 1), random, regularised, local, reinforce, tpe, rank (the whole space), "
            "several joined by commas, or all; evolve:population=50:top_k=3 sets fields."
        ),
    ],
    proxy: Annotated[str, typer.Option(help="Proxy to search by.")] = "diswot",
    accuracy: Annotated[
        str | None,
        typer.Option(help="Search by trained validation accuracy instead: distilled, vanilla, or an accuracy table."),
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
    cells: Annotated[str, typer.Option(help="all, valid, unique, functions, or a file: where to search.")] = "all",
    teacher: Annotated[str, typer.Option("--teacher", help="Teacher of the scores, as in `bench run`.")] = "default",
    store: Annotated[Path, typer.Option("--store", help="Score store: read, and extended.")] = Path(
        "results/store/scores.sqlite"
    ),
    data: Annotated[Path | None, typer.Option("--data", help="Folder with the data set, where it needs one.")] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    retry: Annotated[bool, typer.Option("--retry", help="Try again what has no score.")] = False,
    proxy_module: Annotated[list[Path] | None, typer.Option(help="Python file that defines proxies.")] = None,
    output: Annotated[Path, typer.Option(help="Folder of finished searches.")] = Path("results/searches"),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array on standard output.")] = False,
) -> None:
    """Search and write down what was found. The same command goes on where it was stopped, to the same answers."""
    at_least_one("--runs", runs)
    at_least_one("--budget", budget)
    from bench.benchmarks import benchmark as named
    from bench.benchmarks import with_teacher
    from bench.plan import select
    from search.constraints import limit
    from search.methods import choose

    chosen, files = choose(methods), tuple(proxy_module or ())
    most = {"params": max_params, "flops": max_flops, "latency": max_latency}
    limits = [limit(what, text) for what, text in most.items() if text is not None]
    numbers, folder, among = tuple(parse_seeds(seeds)), data_folder(data), select(cells)
    judge = None if accuracy else _one(proxy, files)
    setting = with_teacher(named(benchmark), teacher)  # last: a trained teacher is loaded

    from search import objective as objectives
    from search.latency import latency
    from search.records import write
    from search.searches import Plan, search, settings, space_of

    where = choose_device(device)
    made = None
    if judge is None:
        objective = objectives.by_accuracy(str(accuracy), benchmark, numbers)
    else:
        from bench.ondemand import OnDemand
        from bench.runner import Request
        from bench.store import ScoreStore

        request = Request(setting, (judge.label,), numbers, device=where, data=folder, files=files, retry=retry)
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
    print(f"wrote {', '.join(map(str, paths))}")


def _one(name: str, files: tuple[Path, ...]) -> Proxy:
    """The proxy to search by. Raises BadUsage for several, and for what ranks cells among others."""
    from common.errors import BadUsage
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
