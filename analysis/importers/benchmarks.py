"""NAS-Bench-201's and NATS-Bench's files, read with the classes of their own packages."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from analysis.importers.nats_files import PART, check_path, check_space
from analysis.importers.source import Row, Source, reason
from analysis.read.accuracies import percent
from common.errors import BadInput
from common.progress import Progress
from spaces.nats_sizes.space import SIZES
from spaces.nb201.space import NB201
from spaces.space import Space

SETS = {
    "cifar10": (("cifar10-valid", "x-valid"), ("cifar10", "ori-test")),
    "cifar100": (("cifar100", "x-valid"), ("cifar100", "x-test")),
    "imagenet16-120": (("ImageNet16-120", "x-valid"), ("ImageNet16-120", "x-test")),
}
"""(training, set of images) that `val` and `test` are of, in the benchmarks' own words."""

DATA_SETS = tuple(SETS)

Opened = tuple[list[int], Callable[[int], tuple[object, Any]]]
"""Indices of a file, and what gives the architecture string and the `ArchResults`, or None, of one."""


@dataclass(frozen=True)
class Format:
    """A benchmark's files: who reads them, what space they are of, and what they call a schedule of so many epochs."""

    package: str
    open: Callable[[Path, str, bool], Opened]
    """Of a file, the name of a schedule, and whether pickles are trusted."""
    space: Space
    schedules: dict[int, str]
    """The last is the default."""
    in_parts: bool = False
    """Whether a folder of a file for each architecture will do."""


def read_benchmark(format: str, file: Path, dataset: str, epochs: int, trust_pickle: bool) -> Source:
    """Every seed of every architecture; those of `val` and `test` are the same training except on cifar10."""
    of = BENCHMARKS[format]
    try:
        with warnings.catch_warnings(action="ignore"):  # of torch, about files that are not its own
            indices, read = of.open(file, of.schedules[epochs], trust_pickle)
            rows = []
            with Progress(file.name, len(indices), "cells") as bar:
                for index in indices:
                    name, results = read(index)
                    _check_cell(file, of.space, index, name)
                    if results is not None:
                        _check_cell(file, of.space, index, results.arch_str)
                        rows += _trials(file, index, results, dataset, epochs)
                    bar.advance(1)
    except BadInput:
        raise
    except Exception as error:  # a damaged or foreign file can make pickle and the packages raise nearly anything
        raise BadInput(f"cannot read {file} as {format} ({reason(error)}): take the official file") from error
    (val_training, val_set), (test_training, test_set) = SETS[dataset]
    columns = {
        "seed": "the benchmark's own",
        "val": f"{val_set} of the training {val_training}, after the last epoch",
        "test": f"{test_set} of the training {test_training}, after the last epoch",
        "seconds": f"training {test_training}, as the benchmark states it",
    }
    return Source(rows, columns, of.space.name, read_with=f"{of.package} {version(of.package)}")


def _check_cell(file: Path, space: Space, index: object, name: object) -> None:
    """Raises BadInput where the file's string of an index is not that of the space."""
    if not isinstance(index, int) or not 0 <= index < len(space):
        raise BadInput(f"{file} has an index {index!r}: the space {space.name} has 0 to {len(space) - 1}")
    if name != str(space.at(index)):
        raise BadInput(f"{file} calls cell {index} {name!r}, which is {space.at(index)}: the file is of another space")


def _trials(file: Path, index: int, results: Any, dataset: str, epochs: int) -> list[Row]:
    (val_training, val_set), (test_training, test_set) = SETS[dataset]
    trials = {
        (training, seed): trial
        for training in {val_training, test_training} & set(results.get_dataset_names())
        for seed, trial in results.query(training).items()
    }
    for (training, seed), trial in trials.items():
        if trial.get_total_epoch() != epochs:
            found = f"{trial.get_total_epoch()} epochs on {training}"
            raise BadInput(f"{file}: cell {index}, seed {seed} has {found}, not {epochs}: take the official file")

    def accuracy(training: str, seed: int, images: str) -> float:
        try:
            found = trials[training, seed].get_eval(images)["accuracy"]
        except (KeyError, ValueError):  # how the packages say that there is none
            return math.nan
        return percent(found, f"{file}: cell {index}, seed {seed}, {images} of {training}")

    rows = []
    for seed in sorted({seed for _, seed in trials}):
        trial = trials.get((test_training, seed))
        seconds = trial.get_times()["T-train@total"] if trial else None
        val, test = accuracy(val_training, seed, val_set), accuracy(test_training, seed, test_set)
        rows.append(Row(index, seed, val, test, math.nan if seconds is None else float(seconds)))
    return rows


def _nas_bench_201(file: Path, schedule: str, trust_pickle: bool) -> Opened:
    from nas_201_api import ArchResults

    content = _load_torch(file, trust_pickle)
    names, infos = content["meta_archs"], content["arch2infos"]

    def read(index: int) -> tuple[object, Any]:
        # the class and not NASBench201API, which copies all of the file; no path, because it would unpickle one
        state = infos[index][schedule]
        if not isinstance(state, dict):
            raise TypeError(f"'{schedule}' of {index} is a {type(state).__name__}")
        return names[index], ArchResults.create_from_state_dict(state)

    return sorted(infos), read


def _load_torch(file: Path, trust_pickle: bool) -> dict[str, Any]:
    """The file as plain data where it is no more than that; otherwise unpickled if trusted, and refused if not."""
    import numpy as np
    import torch

    # numbers of numpy, which parameter counts are, by the names before and since numpy 2; no arrays (images/pickles.py)
    scalar = np.float64(0).__reduce__()[0]
    numbers: list[Any] = [np.dtype, type(np.dtype("float64")), type(np.dtype("int64"))]
    numbers += [(scalar, f"{core}.multiarray.scalar") for core in ("numpy.core", "numpy._core")]
    try:
        with torch.serialization.safe_globals(numbers):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        if not trust_pickle:
            if asked is None:
                raise
            raise BadInput(
                f"{file} is a pickle that asks for {asked[1]!r}, and what a pickle asks for is run: nothing was; "
                "add --trust-pickle if you trust where it came from"
            ) from error
        content = torch.load(file, map_location="cpu", weights_only=False)
    if not isinstance(content, dict):
        raise TypeError(f"it holds a {type(content).__name__}")
    return content


def _nats_bench(name: str, file: Path, schedule: str, trust_pickle: bool) -> Opened:
    """`name` is what the package calls the space."""
    check_path(name, file)
    if not trust_pickle:
        raise BadInput(
            f"{file} is pickled, and a pickle can run anything: it was not read; "
            "add --trust-pickle if you trust where it came from"
        )
    import nats_bench

    in_parts = file.is_dir()
    api = nats_bench.create(str(file), name, fast_mode=in_parts, verbose=False)
    check_space(name, file, api.meta_archs)
    parts = (PART.fullmatch(part.name) for part in file.glob("*") if in_parts)
    numbers = {int(part[1]) for part in parts if part and part[1].isdigit()}
    indices = numbers if in_parts else set(api.arch2infos_dict)

    def read(index: int) -> tuple[object, Any]:
        if in_parts:
            api.reload(str(file), index)
        # taken out, because a whole folder, unpacked, needs more memory than most machines have
        return api.arch(index), api.arch2infos_dict.pop(index).get(schedule)

    return sorted(indices), read


BENCHMARKS = {
    "nas-bench-201": Format("nas-bench-201", _nas_bench_201, NB201, {12: "less", 200: "full"}),
    "nats-bench": Format("nats_bench", partial(_nats_bench, "tss"), NB201, {12: "12", 200: "200"}, in_parts=True),
    "nats-bench-size": Format(
        "nats_bench", partial(_nats_bench, "sss"), SIZES, {1: "01", 12: "12", 90: "90"}, in_parts=True
    ),
}
"""By the word on the command line; `nats-bench` is its topology space."""
