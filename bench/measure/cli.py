"""The measuring commands of `python -m bench`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from bench.options import (
    Address,
    BenchmarkName,
    Executor,
    Modules,
    Proxies,
    device_and_workers,
    placement,
    resolve,
)
from common import results
from common.cli import Data, Device, at_least_one, choose_device, data_folder, print_table
from common.errors import BadUsage


def cost_command(
    proxies: Proxies = "all",
    benchmark: BenchmarkName = "digits",
    sample: Annotated[int, typer.Option(help="Functions to score with each proxy.")] = 10,
    device: Device = "auto",
    output: Annotated[Path, typer.Option(help="Folder of published costs.")] = results.COSTS,
    proxy_module: Modules = None,
) -> None:
    """What each proxy costs beside a plain forward pass, and all of them together beside the sum of single runs."""
    at_least_one("--sample", sample)
    from bench.benchmarks import benchmark as named
    from proxies.registry import choose

    chosen, setting = choose(proxies, tuple(proxy_module or ())), named(benchmark)

    from bench.measure.cost import measure, write
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


def crossing_command(
    proxies: Proxies = "all",
    benchmark: BenchmarkName = "digits",
    sample: Annotated[int, typer.Option(help="Functions to score.")] = 60,
    draws: Annotated[int, typer.Option(help="Seeds of weights, and as many of images.")] = 3,
    device: Device = "auto",
    data: Data = None,
    output: Annotated[Path, typer.Option(help="Folder of crossings.")] = results.CROSSINGS,
) -> None:
    """Every combination of weights, images and initialisation, for `analysis tables` to split the variance."""
    at_least_one("--sample", sample)
    at_least_one("--draws", draws)
    chosen, setting = resolve(proxies, benchmark, "own", "default", None)
    folder = data_folder(data)

    from bench.measure.crossing import cross
    from bench.provenance import provenance

    where = choose_device(device)
    print(f"wrote {cross(setting, chosen, sample, draws, output, folder, where, provenance(where))}")


def speed_command(
    benchmark: BenchmarkName = "cifar100",
    sample: Annotated[int, typer.Option(help="Cells a round.")] = 24,
    rounds: Annotated[int, typer.Option(help="Rounds; medians are reported.")] = 3,
    workers: Annotated[int | None, typer.Option(help="Processes; default one a core, one on a GPU.")] = None,
    device: Device = "auto",
    output: Annotated[Path, typer.Option(help="Folder of published rates.")] = results.SPEED,
) -> None:
    """Our rate beside the conventional loops, family by family, as ratios measured in one run."""
    at_least_one("--sample", sample)
    at_least_one("--rounds", rounds)
    at_least_one("--workers", workers)
    from bench.measure.speed import measure, write
    from bench.provenance import provenance
    from spaces.nb201.cell import cells

    where, count = device_and_workers(device, workers)
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


def growth_command(
    proxies: Proxies = "diswot",
    benchmark: BenchmarkName = "digits",
    counts: Annotated[str, typer.Option(help="How many cells, runs of each, joined by commas.")] = "1000,5000,15625",
    workers: Annotated[int | None, typer.Option(help="Processes; default one a core, one on a GPU.")] = None,
    device: Device = "auto",
    data: Data = None,
    executor: Executor = "local",
    address: Address = None,
    output: Annotated[Path, typer.Option(help="Folder of published rates.")] = results.SPEED,
) -> None:
    """Time and memory of whole runs by number of cells, and of the first of them in batches of 16 to 256. Needs
    psutil, which is in the extra `dev`."""
    at_least_one("--workers", workers)
    try:
        sizes = [int(number) for number in counts.split(",")]
    except ValueError:
        raise BadUsage(f"--counts {counts}: whole numbers joined by commas, such as 1000,5000") from None
    for size in sizes:
        at_least_one("--counts", size)
    chosen, setting = resolve(proxies, benchmark, "own", "default", None)
    folder = data_folder(data)
    from bench.measure.growth import measure, write
    from bench.provenance import provenance
    from bench.runner import Request

    where, count = placement(device, workers, executor)
    request = Request(
        setting, tuple(chosen), (0,), workers=count, device=where, data=folder, executor=executor, address=address
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


COMMANDS: dict[str, Callable[..., None]] = {
    "cost": cost_command,
    "crossing": crossing_command,
    "speed": speed_command,
    "growth": growth_command,
}
