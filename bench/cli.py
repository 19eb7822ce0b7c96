"""Command line of the bench: `python -m bench run|list|status|show|export|merge|verify|diff|cost|...`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from common.cli import application, at_least_one, choose_device, data_folder, parse_seeds, print_table
from common.errors import BadUsage

if TYPE_CHECKING:
    from bench.benchmarks import Benchmark
    from proxies.base import Named, Proxy

app = application("Score untrained networks with zero-cost proxies, against a fixed teacher.")

_STORE = Path("results/store/scores.sqlite")
Proxies = Annotated[str, typer.Argument(help="Names joined by commas (diswot:variant=paper sets a field), or all.")]
BenchmarkName = Annotated[
    str, typer.Option("--benchmark", help="digits, cifar10, cifar100, imagenet16-120 or resnet-cifar100.")
]
Store = Annotated[Path, typer.Option("--store", help="Score store, an SQLite file.")]
Data = Annotated[Path | None, typer.Option("--data", help="Folder with the data set, where it needs one.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Backbone = Annotated[str, typer.Option("--backbone", help="own, or xautodl for the original network class.")]
TeacherName = Annotated[
    str,
    typer.Option(
        "--teacher",
        help="default (the benchmark's own), best, median, random:SEED, a cell, resnet20 to resnet110, or trained.",
    ),
]
Executor = Annotated[str, typer.Option("--executor", help="local, or ray for the machines of a Ray cluster.")]
Address = Annotated[str | None, typer.Option("--address", help="Of the Ray cluster; default: the one on this machine.")]
Modules = Annotated[list[Path] | None, typer.Option("--proxy-module", help="Python file that defines proxies.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON array on standard output.")]


def _resolve(
    proxies: str, benchmark: str, backbone: str, teacher: str, modules: list[Path] | None
) -> tuple[list[Proxy], Benchmark]:
    """What the words name. Before torch is imported, so that a wrong word costs nothing."""
    from bench.benchmarks import benchmark as named
    from bench.benchmarks import with_backbone, with_teacher
    from proxies.registry import create_all

    setting = with_backbone(named(benchmark), backbone)
    chosen = create_all(proxies, tuple(modules or ()))
    return chosen, with_teacher(setting, teacher)  # last: a trained teacher is loaded


def _here(device: str, workers: int | None) -> tuple[str, int]:
    """The device, and how many workers this machine has for it."""
    from common.pool import cores

    where = choose_device(device)
    return where, workers or (cores() if where == "cpu" else 1)


def _where(device: str, workers: int | None, executor: str) -> tuple[str, int | None]:
    """As `_here`, or of a cluster: None is all that it has room for."""
    from bench.runner import EXECUTORS
    from common.errors import unknown

    if executor not in EXECUTORS:
        raise unknown("executor", executor, EXECUTORS)
    if executor == "local":
        return _here(device, workers)
    # the driver of a cluster need not have the device that its machines have
    return device if device.startswith("cuda") else choose_device(device), workers


@app.command("run")
def run_command(
    proxies: Proxies,
    benchmark: BenchmarkName = "digits",
    seeds: Annotated[str, typer.Option(help="Seeds, such as 0 or 0-2: each draws its own weights and batch.")] = "0",
    cells: Annotated[
        str, typer.Option(help="all, valid, unique, functions (of ResNets: all), or a file with a cell a line.")
    ] = "all",
    limit: Annotated[int | None, typer.Option(help="Only the first cells of the seeded visiting order.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; default one a core, one on a GPU.")] = None,
    device: Device = "auto",
    data: Data = None,
    store: Store = _STORE,
    retry: Annotated[bool, typer.Option("--retry", help="Try again what has no score.")] = False,
    backbone: Backbone = "own",
    teacher: TeacherName = "default",
    executor: Executor = "local",
    address: Address = None,
    together: Annotated[int | None, typer.Option(help="Cells run as one network; default by size and device.")] = None,
    proxy_module: Modules = None,
) -> None:
    """Score cells; go on where an earlier run stopped. Exit code 3 if cells are left without a score."""
    at_least_one("--limit", limit)
    at_least_one("--workers", workers)
    at_least_one("--together", together)
    chosen, setting = _resolve(proxies, benchmark, backbone, teacher, proxy_module)
    wanted_seeds, folder = parse_seeds(seeds), data_folder(data)

    from bench.runner import Request, execute
    from bench.store import ScoreStore

    where, count = _where(device, workers, executor)
    opened = ScoreStore(store)
    request = Request(
        benchmark=setting,
        proxies=tuple(proxy.label for proxy in chosen),
        seeds=tuple(wanted_seeds),
        cells=cells,
        limit=limit,
        workers=count,
        device=where,
        data=folder,
        files=tuple(proxy_module or ()),
        retry=retry,
        executor=executor,
        address=address,
        together=together,
    )
    summary = execute(request, opened)
    opened.close()
    print(f"{summary.ok} of {summary.wanted} scores in {store}, {summary.passes} passes in {summary.seconds:.1f} s")
    if summary.failed:
        print(
            f"{summary.failed} have no score (`python -m bench show CELL` says why, --retry tries again)",
            file=sys.stderr,
        )
        sys.exit(3)


@app.command("list")
def list_command(as_json: Json = False, proxy_module: Modules = None) -> None:
    """The known proxies."""
    import dataclasses

    from proxies.base import Proxy
    from proxies.registry import known, populations

    files = tuple(proxy_module or ())
    classes: dict[str, type[Named]] = dict(sorted((known(files) | populations(files)).items()))
    entries = [
        {
            "name": name,
            "version": cls.version,
            "family": cls.family,
            "init": cls.init if issubclass(cls, Proxy) else "",  # its parts have theirs
            "sees": cls.sees if issubclass(cls, Proxy) else "population",
            "reference": dataclasses.asdict(cls.reference),
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


@app.command("status")
def status_command(store: Store = _STORE, as_json: Json = False) -> None:
    """What is stored: for each proxy, benchmark and seed the scores wanted, ok and failed."""
    from bench.store import ScoreStore

    entries = ScoreStore(store, create=False).overview()
    if as_json:
        print(json.dumps(entries, indent=2))
        return
    columns = ["proxy", "benchmark", "seed", "cells", "wanted", "ok", "failed"]
    print_table(columns, [[entry[column] for column in columns] for entry in entries])


@app.command("show")
def show_command(
    cell: Annotated[str, typer.Argument(help="Index or official string of a cell, or depth code of a ResNet.")],
    space: Annotated[str, typer.Option(help="nb201 (cells) or resnet (depth codes).")] = "nb201",
    store: Store = _STORE,
    as_json: Json = False,
) -> None:
    """A cell, what it is equivalent to, and its stored scores."""
    from bench.store import ScoreStore
    from spaces.registry import space as named

    of = named(space)
    index = of.resolve(cell)
    same = of.members("function")[of.representatives("function")[index]]
    scores = ScoreStore(store, create=False).of_cell(index, of) if store.exists() else []
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
    store: Store = _STORE,
    output: Annotated[Path, typer.Option(help="Folder of published scores.")] = Path("results/scores"),
    teacher: TeacherName = "default",
    proxy_module: Modules = None,
) -> None:
    """Write stored scores as CSV files with a manifest."""
    chosen, setting = _resolve(proxies, benchmark, "own", teacher, proxy_module)

    from bench.export import export
    from bench.store import ScoreStore

    for path in export(ScoreStore(store, create=False), setting.name, chosen, output, setting.teacher.record()):
        print(f"wrote {path}")


@app.command("merge")
def merge_command(
    others: Annotated[
        list[Path], typer.Argument(help="Stores of other runs or machines, or folders such as results/scores/digits.")
    ],
    store: Store = _STORE,
) -> None:
    """Add the scores of other stores, or published ones. Exit code 1 if one of a cell differs: the own one stays."""
    from bench.restore import restore
    from bench.store import ScoreStore
    from common.errors import BadInput

    for path in others:
        if not path.exists():
            raise BadInput(f"{path}: no such store")
    opened = ScoreStore(store)
    differing = 0
    for path in others:
        found = restore(opened, path) if path.is_dir() else opened.merge(path)
        print(f"{path}: {found.ok} scores and {found.failed} cells without one added to {store}")
        differing += found.differing
    opened.close()
    if differing:
        raise BadInput(f"{differing} scores are not those of {store}, which stay: `python -m bench verify` tells whose")


@app.command("verify")
def verify_command(
    proxies: Proxies,
    benchmark: BenchmarkName = "digits",
    sample: Annotated[int, typer.Option(help="Rows of each proxy and seed to score again.")] = 20,
    device: Device = "auto",
    data: Data = None,
    store: Store = _STORE,
    backbone: Backbone = "own",
    teacher: TeacherName = "default",
    proxy_module: Modules = None,
) -> None:
    """Check the store's file and score a sample of its rows again. Exit code 1 if one differs."""
    at_least_one("--sample", sample)
    chosen, setting = _resolve(proxies, benchmark, backbone, teacher, proxy_module)
    folder = data_folder(data)

    from bench.store import ScoreStore
    from bench.verify import verify

    opened = ScoreStore(store, create=False)
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
    proxies: Proxies = "all",
    benchmark: BenchmarkName = "digits",
    store: Store = _STORE,
    teacher: TeacherName = "default",
    proxy_module: Modules = None,
    as_json: Json = False,
) -> None:
    """How far two stores' scores of the same cells differ, in numbers and in the order of cells."""
    chosen, setting = _resolve(proxies, benchmark, "own", teacher, proxy_module)

    from bench.diff import diff
    from bench.store import ScoreStore

    one, two = (ScoreStore(path, create=False) for path in (store, other))
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
    """Write a new proxy file that runs and passes its tests as it is."""
    import datetime

    from bench.new_proxy import create

    path = create(name, datetime.date.today().year)
    print(f"wrote {path}: put the formula into score(), then run `make bench PROXY={name}`")


@app.command("cost")
def cost_command(
    proxies: Annotated[str, typer.Argument(help="Names joined by commas, or all.")] = "all",
    benchmark: BenchmarkName = "digits",
    sample: Annotated[int, typer.Option(help="Functions to score with each proxy.")] = 10,
    device: Device = "auto",
    output: Annotated[Path, typer.Option(help="Folder of published costs.")] = Path("results/costs"),
) -> None:
    """What each proxy costs beside a plain forward pass, and all of them together beside the sum of single runs."""
    at_least_one("--sample", sample)
    from bench.benchmarks import benchmark as named
    from proxies.registry import choose

    chosen, setting = choose(proxies), named(benchmark)

    from bench.cost import measure, write
    from bench.provenance import provenance

    where = choose_device(device)
    costs = measure(setting, chosen, sample, where)
    rows: list[list[object]] = [
        [cost.proxy, f"{1000 * cost.seconds:.1f}", f"{cost.forwards:.1f}"]
        for cost in [*sorted(costs.each, key=lambda cost: cost.seconds, reverse=True), costs.together]
    ]
    print(f"{benchmark}, {where}, one process on one thread, {sample} functions")
    print_table(["proxy", "ms a cell", "forward passes"], rows)
    print(f"all together cost {costs.share:.2f} of the sum of single runs")
    if costs.populations:
        print(
            f"without {', '.join(costs.populations)}, which have their parts scored: "
            f"{costs.share_of_passes:.2f} of the sum of single passes"
        )
    print(f"wrote {write(costs, benchmark, provenance(where) | {'sample': sample}, output)}")


@app.command("crossing")
def crossing_command(
    proxies: Annotated[str, typer.Argument(help="Names joined by commas, or all.")] = "all",
    benchmark: BenchmarkName = "digits",
    sample: Annotated[int, typer.Option(help="Functions to score.")] = 60,
    draws: Annotated[int, typer.Option(help="Seeds of weights, and as many of images.")] = 3,
    device: Device = "auto",
    data: Data = None,
    output: Annotated[Path, typer.Option(help="Folder of crossings.")] = Path("results/crossings"),
) -> None:
    """Every combination of weights, images and initialisation, for `analysis tables` to split the variance."""
    at_least_one("--sample", sample)
    at_least_one("--draws", draws)
    chosen, setting = _resolve(proxies, benchmark, "own", "default", None)
    folder = data_folder(data)

    from bench.crossing import cross
    from bench.provenance import provenance

    where = choose_device(device)
    print(f"wrote {cross(setting, chosen, sample, draws, output, folder, where, provenance(where))}")


@app.command("speed")
def speed_command(
    benchmark: BenchmarkName = "cifar100",
    sample: Annotated[int, typer.Option(help="Cells a round.")] = 24,
    rounds: Annotated[int, typer.Option(help="Rounds; medians are reported.")] = 3,
    workers: Annotated[int | None, typer.Option(help="Processes; default one a core, one on a GPU.")] = None,
    device: Device = "auto",
    output: Annotated[Path, typer.Option(help="Folder of published rates.")] = Path("results/speed"),
) -> None:
    """Our rate beside the conventional loops, family by family, as ratios measured in one run."""
    at_least_one("--sample", sample)
    at_least_one("--rounds", rounds)
    at_least_one("--workers", workers)
    from bench.provenance import provenance
    from bench.speed import measure, write
    from spaces.nb201 import cells

    where, count = _here(device, workers)
    found = measure(benchmark, sample, rounds, where, count)
    total = len(cells())
    rows: list[list[object]] = [
        [
            speed.proxies,
            f"{speed.conventional * total / 60:.1f}",
            f"{speed.own * 1000:.1f}",
            speed.passes,
            f"{speed.own * speed.passes / 60:.2f}",
            f"{speed.ratio:.1f}",
        ]
        for speed in found.families
    ]
    print(f"{benchmark}, {where}, {count} workers, {rounds} rounds of {sample} cells, medians; sweeps of {total} cells")
    columns = ["proxies", "conventional min a sweep", "ms a pass", "passes", "min a sweep (extrapolated)", "faster"]
    print_table(columns, rows)
    spent = list(found.distances[0].shares)
    floors: list[list[object]] = [
        [
            distance.proxies,
            *(f"{1000 * value:.1f}" for value in (distance.own, *distance.floor)),
            f"{distance.over_arithmetic:.2f}",
            f"{distance.over_both:.2f}",
            *(f"{distance.shares[kind]:.2f}" for kind in spent),
        ]
        for distance in found.distances
    ]
    columns = ["a pass of", "ms", "its arithmetic", "its maps", "times the former", "times both"]
    print_table([*columns, *(f"share of {kind}" for kind in spent)], floors)
    print(f"{count} workers are {found.scaling:.2f} times as fast as one")
    made = {"benchmark": benchmark, "sample": sample, "rounds": rounds, "workers": count} | provenance(where)
    print(f"wrote {write(found, benchmark, made, output)}")


@app.command("growth")
def growth_command(
    proxies: Proxies = "diswot",
    benchmark: BenchmarkName = "digits",
    cells: Annotated[str, typer.Option(help="How many cells, runs of each, joined by commas.")] = "1000,5000,15625",
    workers: Annotated[int | None, typer.Option(help="Processes; default one a core, one on a GPU.")] = None,
    device: Device = "auto",
    data: Data = None,
    executor: Executor = "local",
    address: Address = None,
    output: Annotated[Path, typer.Option(help="Folder of published rates.")] = Path("results/speed"),
) -> None:
    """Time and memory of whole runs by number of cells, and of the first of them in batches of 16 to 256. Needs psutil
    (`.[dev]`)."""
    at_least_one("--workers", workers)
    try:
        sizes = [int(number) for number in cells.split(",")]
    except ValueError:
        raise BadUsage(f"--cells {cells}: whole numbers joined by commas, such as 1000,5000") from None
    for size in sizes:
        at_least_one("--cells", size)
    chosen, setting = _resolve(proxies, benchmark, "own", "default", None)
    folder = data_folder(data)
    from bench.growth import measure, write
    from bench.provenance import provenance
    from bench.runner import Request

    where, count = _where(device, workers, executor)
    labels = tuple(proxy.label for proxy in chosen)
    request = Request(
        setting, labels, (0,), workers=count, device=where, data=folder, executor=executor, address=address
    )
    found = measure(request, sizes)
    rows: list[list[object]] = [
        [growth.cells, growth.batch, f"{growth.seconds:.1f}", f"{growth.memory:.0f}"] for growth in found
    ]
    print(f"{proxies} on {benchmark}, {where}, {count or 'all'} workers, {executor}, whole runs")
    print_table(["cells", "batch", "seconds", "MiB"], rows)
    made = {"benchmark": benchmark, "proxies": proxies, "workers": count, "executor": executor} | provenance(where)
    name = benchmark if executor == "local" else f"{benchmark}-{executor}"
    print(f"wrote {write(found, name, made, output)}")
