"""Options of the bench's command line, and what their words name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from common import modules, results
from common.cli import PROXIES, choose_device
from common.errors import BadInput
from common.files import remove_empty

if TYPE_CHECKING:
    from bench.benchmarks import Benchmark
    from bench.store import ScoreStore
    from proxies.base import Proxy


def use(files: Iterable[Path]) -> None:
    """Make known the proxies, data sets, spaces and benchmarks of the user's files, in place of those used before.

    Raises BadInput for a file that is missing, raises an error, defines none of these, or takes a name.
    """
    modules.use(files)
    if not modules.in_use():
        return
    from bench.benchmarks import benchmarks_in, names
    from images.registry import data_sets, data_sets_in
    from proxies.registry import known, proxies_in
    from spaces.registry import spaces, spaces_in

    for path in modules.in_use():
        module = modules.load(path)
        if not any(held(module) for held in (proxies_in, data_sets_in, spaces_in, benchmarks_in)):
            raise BadInput(f"--module {path}: defines no proxy, data set, space or benchmark")
    # each raises where a name stands for two things
    known(modules.in_use())
    data_sets()
    spaces()
    names()


def _used(files: list[Path] | None) -> list[Path] | None:
    use(files or ())
    return files


STORE = results.SCORE_STORE
Modules = Annotated[
    list[Path] | None,
    typer.Option(
        "--module",
        "--proxy-module",
        callback=_used,
        help="Python file that defines proxies, data sets, spaces or benchmarks.",
    ),
]
Proxies = Annotated[str, typer.Argument(help=PROXIES)]
BenchmarkName = Annotated[
    str,
    typer.Option(
        "--benchmark",
        help="digits, cifar10-16px, cifar100-16px, cifar10, cifar100 (NAME-subset for a part of its images), "
        "imagenet16-120, resnet-cifar100, nats-sizes-digits, nats-sizes-cifar10, nats-sizes-cifar100, "
        "or one of a --module.",
    ),
]
Store = Annotated[Path, typer.Option("--store", help="Score store, an SQLite file.")]
Backbone = Annotated[str, typer.Option("--backbone", help="own, or xautodl for the original network class.")]
TeacherName = Annotated[
    str,
    typer.Option(
        "--teacher",
        help="default (the benchmark's own), best, median, random:SEED, a cell, resnet20 to resnet110, trained, noise, "
        "or FILE.py:FUNCTION of one's own.",
    ),
]
Executor = Annotated[str, typer.Option("--executor", help="local, or ray for the machines of a Ray cluster.")]
Address = Annotated[str | None, typer.Option("--address", help="Of the Ray cluster; default: the one on this machine.")]


def resolve(
    proxies: str, benchmark: str, backbone: str, teacher: str, modules: list[Path] | None
) -> tuple[list[Proxy], Benchmark]:
    """What the words name. Before torch is imported, so that a wrong word costs nothing."""
    from bench.benchmarks import benchmark as named
    from bench.benchmarks import with_backbone, with_teacher
    from proxies.registry import create_all

    setting = with_backbone(named(benchmark), backbone)
    chosen = create_all(proxies, tuple(modules or ()))
    return chosen, with_teacher(setting, teacher)  # last: a trained teacher is loaded


@contextmanager
def extended(path: Path) -> Iterator[ScoreStore]:
    """The ScoreStore to write into, closed behind the block; a new one into which an error let nothing come is removed.

    Raises BadInput as the store does.
    """
    from bench.store import ScoreStore

    made = [folder for folder in path.parents if not folder.exists()]
    there = path.exists()
    store = ScoreStore(path)
    try:
        yield store
    except BadInput:
        empty = not there and not store.overview()
        store.close()
        if empty:
            path.unlink()
            remove_empty(made)
        raise
    store.close()


def likely_workers(device: str, workers: int | None) -> int:
    """How many workers `device_and_workers` will say, guessed without PyTorch."""
    from common.pool import cores

    gpu = device.startswith("cuda") or (device == "auto" and Path("/dev/nvidiactl").exists())
    return workers or (1 if gpu else cores())


def device_and_workers(device: str, workers: int | None) -> tuple[str, int]:
    """The device, and how many workers this machine has for it."""
    from common.pool import cores

    where = choose_device(device)
    return where, workers or (cores() if where == "cpu" else 1)


def placement(device: str, workers: int | None, executor: str) -> tuple[str, int | None]:
    """As `device_and_workers`, or of a cluster: None is all that it has room for."""
    from bench.runner import EXECUTORS
    from common.errors import unknown

    if executor not in EXECUTORS:
        raise unknown("executor", executor, EXECUTORS)
    if executor == "local":
        return device_and_workers(device, workers)
    # the driver of a cluster need not have the device that its machines have
    return device if device.startswith("cuda") else choose_device(device), workers
