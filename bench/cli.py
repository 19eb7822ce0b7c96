"""Command line of the bench: `python -m bench run|list|status|show|export|merge|verify|diff|cost|...`."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.measure.cli import COMMANDS
from bench.options import (
    STORE,
    Address,
    Backbone,
    BenchmarkName,
    Executor,
    Modules,
    Proxies,
    Store,
    TeacherName,
    extended,
    likely_workers,
    placement,
    resolve,
)
from common import crew, results
from common.cli import (
    CELLS,
    PROXIES,
    Data,
    Device,
    Json,
    application,
    at_least_one,
    choose_device,
    data_folder,
    parse_seeds,
    print_table,
    printable,
    without,
)
from common.errors import BadInput, BadUsage
from common.progress import Live

if TYPE_CHECKING:
    from bench.runner import Request
    from proxies.base import Named

app = application("Score untrained networks with zero-cost proxies, against a fixed teacher.")


def run_command(
    proxies: Proxies,
    benchmark: BenchmarkName = "digits",
    seeds: Annotated[str, typer.Option(help="Seeds, such as 0 or 0-2: each draws its own weights and batch.")] = "0",
    cells: Annotated[str, typer.Option(help=f"{CELLS}.")] = "all",
    limit: Annotated[int | None, typer.Option(help="Only the first cells of the seeded visiting order.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; default one a core, one on a GPU.")] = None,
    device: Device = "auto",
    data: Data = None,
    store: Store = STORE,
    retry: Annotated[bool, typer.Option("--retry", help="Try again what has no score.")] = False,
    rescore: Annotated[
        bool, typer.Option("--rescore", help="Drop and score anew what is stored of a formula that was edited since.")
    ] = False,
    backbone: Backbone = "own",
    teacher: TeacherName = "default",
    executor: Executor = "local",
    address: Address = None,
    together: Annotated[int | None, typer.Option(help="Cells run as one network; default by size and device.")] = None,
    keep: Annotated[
        int, typer.Option(help="MiB a worker keeps of what cells of a draw have in common; no score depends on it.")
    ] = 64,
    timeout: Annotated[
        float | None,
        typer.Option(help="Seconds until a pass that does not come back is given up; default 600. Local only."),
    ] = None,
    proxy_module: Modules = None,
    live: Live | None = None,
) -> None:
    """Score cells; go on where an earlier run stopped. Exit code 3 if cells are left without a score."""
    at_least_one("--limit", limit)
    at_least_one("--workers", workers)
    at_least_one("--together", together)
    if keep < 0:
        raise BadUsage(f"--keep {keep}: 0 or more MiB")
    if timeout is not None and not 0 < timeout < math.inf:
        raise BadUsage(f"--timeout {timeout:g}: a number of seconds above 0")
    if timeout is not None and executor != "local":
        raise BadUsage(f"--timeout: the executor {executor} has no time limit; leave it away")
    chosen, setting = resolve(proxies, benchmark, backbone, teacher, proxy_module)
    wanted_seeds, folder = parse_seeds(seeds), data_folder(data)
    # one worker is this process, which a pass that does not come back ends, unless there is something to be careful of
    careful = timeout is None and any(type(one).__module__.partition(".")[0] != "proxies" for one in chosen)
    if executor == "local" and (careful or timeout is not None or likely_workers(device, workers) > 1):
        crew.prepare("bench.worker")  # while this process imports PyTorch itself, and plans

    from bench.runner import TIMEOUT, Request, execute

    where, count = placement(device, workers, executor)
    request = Request(
        benchmark=setting,
        proxies=tuple(chosen),
        seeds=tuple(wanted_seeds),
        cells=cells,
        limit=limit,
        workers=count,
        device=where,
        data=folder,
        files=tuple(proxy_module or ()),
        retry=retry,
        rescore=rescore,
        executor=executor,
        address=address,
        together=together,
        room=keep * 2**20,
        timeout=TIMEOUT if careful else timeout,
    )
    _tell_labelled(request)
    with extended(store) as opened:
        summary = execute(request, opened, live)
    print(f"{summary.ok} of {summary.wanted} scores in {store}, {summary.passes} passes in {summary.seconds:.1f} s")
    if summary.failed:
        why = f", {summary.why}" if summary.why else ""
        print(f"{summary.failed} have no score{why}; --retry tries again", file=sys.stderr)
        sys.exit(3)


app.command("run")(without(run_command, "live"))


def _tell_labelled(request: Request) -> None:
    """Say before the work begins how many of the cells can be judged."""
    from bench.plan import hint, labelled_among, select_of

    cells = select_of(request.cells, request.benchmark, request.limit)
    labelled, known = labelled_among(cells, request.benchmark)
    if known:
        print(
            f"{labelled} of {len(cells)} cells have a label{hint(labelled, len(cells), labelled == known)}",
            file=sys.stderr,
        )


@app.command("list")
def list_command(
    part: Annotated[str, typer.Argument(help="Only proxies whose name has this in it.")] = "",
    as_json: Json = False,
    proxy_module: Modules = None,
) -> None:
    """The known proxies."""

    from common.errors import unknown
    from proxies.base import Proxy
    from proxies.registry import known, populations

    files = tuple(proxy_module or ())
    every: dict[str, type[Named]] = dict(sorted((known(files) | populations(files)).items()))
    classes = {name: cls for name, cls in every.items() if part in name}
    if not classes:
        raise unknown("proxy", part, every)
    entries = [
        {
            "name": name,
            "version": cls.version,
            "family": cls.family,
            "init": cls.init if issubclass(cls, Proxy) else "",  # its parts have theirs
            "sees": cls.sees if issubclass(cls, Proxy) else "population",
            "reference": cls.reference.record(),
        }
        for name, cls in classes.items()
    ]
    if as_json:
        print(json.dumps(entries, indent=2))
        return
    facts = ("name", "family", "init", "sees")
    rows: list[list[object]] = [
        [*(entry[fact] for fact in facts), f"{cls.reference.title} ({cls.reference.year})"]
        for entry, cls in zip(entries, classes.values(), strict=True)
    ]
    print_table(["proxy", *facts[1:], "reference"], rows)


@app.command("describe")
def describe_command(
    proxy: Annotated[str, typer.Argument(help="A proxy, such as nwot or diswot:variant=paper.")],
    as_json: Json = False,
    proxy_module: Modules = None,
) -> None:
    """A proxy's formula, what it reads, its paper, and what is published of its cost and its ranking."""
    from proxies.registry import choose

    chosen = choose(proxy, tuple(proxy_module or ()))
    if len(chosen) > 1:
        raise BadUsage(f"describe '{proxy}': one proxy at a time")

    from bench.measure.describe import described, lines

    found = described(chosen[0])
    print(json.dumps([found], indent=2) if as_json else "\n".join(map(printable, lines(found))))


@app.command("status")
def status_command(store: Store = STORE, as_json: Json = False, proxy_module: Modules = None) -> None:
    """What is stored: for each proxy, benchmark and seed the scores wanted, ok and failed."""
    from bench.store import ScoreStore

    entries = ScoreStore(store, write=False).overview()
    if as_json:
        print(json.dumps(entries, indent=2))
        return
    columns = ["proxy", "benchmark", "seed", "cells", "wanted", "ok", "failed"]
    print_table(columns, [[entry[column] for column in columns] for entry in entries])


@app.command("show")
def show_command(
    cell: Annotated[str, typer.Argument(help="Index or text of a cell, such as its official string or 8:16:32:48:64.")],
    space: Annotated[str, typer.Option(help="nb201 (cells), resnet (depth codes) or nats_sizes (widths).")] = "nb201",
    store: Store = STORE,
    as_json: Json = False,
    proxy_module: Modules = None,
) -> None:
    """A cell, what it is equivalent to, and its stored scores."""
    from bench.store import ScoreStore
    from spaces.cell_file import resolved
    from spaces.registry import space as named

    of = named(space)
    index = resolved(cell, of)
    same = of.members("function")[of.representatives("function")[index]]
    scores = ScoreStore(store, write=False).of_cell(index, of) if store.exists() else []
    columns = ["proxy", "benchmark", "seed", "score", "status", "reason"]
    sets = [name for name in of.sets if index in of.cell_set(name)]
    facts = {
        "cell": index,
        "string": str(of.at(index)),
        "sets": sets,
        "same_function": list(same),
        "scores": [dict(zip(columns, row, strict=True)) for row in scores],
    }
    if as_json:
        print(json.dumps([facts], indent=2))
        return
    print(f"cell {index}: {facts['string']}")
    print(f"in the sets {', '.join(sets)}; the same function as {len(same) - 1} other cells")
    if scores:
        print_table(columns, [["" if value is None else value for value in row] for row in scores])
    else:
        print(f"no scores in {store}")


@app.command("export")
def export_command(
    proxies: Proxies,
    benchmark: BenchmarkName = "digits",
    store: Store = STORE,
    output: Annotated[Path, typer.Option(help="Folder of published scores.")] = results.SCORES,
    teacher: TeacherName = "default",
    proxy_module: Modules = None,
) -> None:
    """Write stored scores as CSV files with a manifest."""
    chosen, setting = resolve(proxies, benchmark, "own", teacher, proxy_module)

    from bench.published import export
    from bench.store import ScoreStore

    for path in export(ScoreStore(store, write=False), setting.name, chosen, output, setting.teacher.record()):
        print(f"wrote {path}")


@app.command("merge")
def merge_command(
    others: Annotated[
        list[Path], typer.Argument(help="Stores of other runs or machines, or folders such as results/scores/digits.")
    ],
    store: Store = STORE,
    proxy_module: Modules = None,
) -> None:
    """Add the scores of other stores, or published ones. Exit code 1 if one of a cell differs: the own one stays."""
    from bench.published import restore

    for path in others:
        if not path.exists():
            raise BadInput(f"{path}: no such store")
    differing = 0
    with extended(store) as opened:
        for path in others:
            found = restore(opened, path) if path.is_dir() else opened.merge(path)
            print(f"{path}: {found.ok} scores and {found.failed} cells without one added to {store}")
            differing += found.differing
    if differing:
        raise BadInput(f"{differing} scores are not those of {store}, which stay: `python -m bench verify` tells whose")


@app.command("verify")
def verify_command(
    proxies: Proxies,
    benchmark: BenchmarkName = "digits",
    sample: Annotated[int, typer.Option(help="Rows of each proxy and seed to score again.")] = 20,
    device: Device = "auto",
    data: Data = None,
    store: Store = STORE,
    backbone: Backbone = "own",
    teacher: TeacherName = "default",
    proxy_module: Modules = None,
) -> None:
    """Check the store's file and score a sample of its rows again; `all` is all that it has. Exit code 1 if one
    differs."""
    at_least_one("--sample", sample)
    chosen, setting = resolve(proxies, benchmark, backbone, teacher, proxy_module)
    folder = data_folder(data)

    from bench.checks.verify import verify
    from bench.store import ScoreStore

    opened = ScoreStore(store, write=False)
    if proxies.strip() == "all":
        chosen = [proxy for proxy in chosen if opened.scores(setting.name, proxy, setting.teacher.record())]
        if not chosen:
            raise BadInput(f"{store} has no scores on {setting.name} under this teacher")
    where = choose_device(device)
    differ = False
    for verdict in verify(opened, setting, chosen, sample, where, folder, tuple(proxy_module or ())):
        print(f"{verdict.proxy}: {verdict.compared} rows scored again, {len(verdict.differences)} differ")
        for difference in verdict.differences[:5]:
            print(
                f"  cell {difference.cell}, seed {difference.seed}: {difference.stored} stored, {difference.again} now"
            )
        differ = differ or bool(verdict.differences)
    if differ:
        sys.exit(1)


@app.command("diff")
def diff_command(
    other: Annotated[Path, typer.Argument(help="The store to compare with.")],
    proxies: Annotated[str | None, typer.Argument(help=f"{PROXIES} Default: what both stores hold.")] = None,
    benchmark: BenchmarkName = "digits",
    store: Store = STORE,
    teacher: TeacherName = "default",
    proxy_module: Modules = None,
    as_json: Json = False,
) -> None:
    """How far two stores' scores of the same cells differ, in numbers and in the order of cells."""
    chosen, setting = resolve(proxies or "params", benchmark, "own", teacher, proxy_module)

    from bench.checks.diff import diff, held_by_both
    from bench.store import ScoreStore

    one, two = (ScoreStore(path, write=False) for path in (store, other))
    if proxies is None:
        chosen = held_by_both(one, two, setting, tuple(proxy_module or ()))
    found = diff(one, two, setting, chosen)
    if as_json:
        print(json.dumps([difference._asdict() for difference in found], indent=2))
        return
    columns = ["proxy", "cells", "in one only", "largest difference", "pairs turned", "widest turned"]
    rows: list[list[object]] = [
        [*entry[:3], f"{entry.largest:.1e}", entry.turned, f"{entry.gap:.1e}" if entry.turned else ""]
        for entry in found
    ]
    print_table(columns, rows)


@app.command("new-proxy")
def new_proxy_command(name: Annotated[str, typer.Argument(help="Name of the proxy, such as mine.")]) -> None:
    """Write a new proxy file that runs and passes its tests as it is: into proxies/ of a clone, else here."""
    import datetime

    from bench.new_proxy import create, own_tree

    path = create(name, datetime.date.today().year)
    run = f"make bench PROXY={name}" if own_tree() else f"diswot-bench run {name} --module {path}"
    print(f"wrote {path}: put the formula into score(), then run `{run}`")


for name, command in COMMANDS.items():
    app.command(name)(command)
