"""The process of a distillation: the weight of each pathway over normalised time, learned by DistPro, kept as JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import BadInput, BadUsage, unknown
from common.files import json_hash
from common.formats import read_json, reading, write_json

VERSION = 1
SIGNIFICANT = 6
"""Digits of a weight that a file keeps; a `Process` has no more from the start, so that reading changes nothing."""


@dataclass(frozen=True)
class Process:
    """w(u) [n], u = step / steps in [0, 1]: linear between `times`, which ascend from 0 to 1.

    `pathways` are their names (pathways.py), `weights` [T, n] their weights at the times. `made_by` says how
    the process was learned: nothing uses it.
    """

    pathways: tuple[str, ...]
    times: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    made_by: dict[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        values = np.array(self.weights, dtype=float)
        if values.shape != (len(self.times), len(self.pathways)) or not values.size:
            raise ValueError(f"weights {values.shape} for {len(self.times)} times, {len(self.pathways)} pathways")
        if len(set(self.pathways)) != len(self.pathways):
            raise ValueError("a pathway is named twice")
        if self.times[0] != 0 or self.times[-1] != 1 or not all(np.diff(self.times) > 0):
            raise ValueError("the times must ascend from 0 to 1")
        if not (np.isfinite(values).all() and np.isfinite(self.times).all()):
            raise ValueError("a weight is not finite")
        for name in ("times", "weights"):
            object.__setattr__(self, name, _rounded(getattr(self, name)))

    def at(self, passed: float) -> list[float]:
        """The weights after this share of the steps."""
        return [float(np.interp(passed, self.times, column)) for column in zip(*self.weights, strict=True)]

    def constant(self, weights: list[float]) -> Process:
        """These weights at all times."""
        return replace(self, times=(0.0, 1.0), weights=(tuple(weights),) * 2)

    @property
    def averages(self) -> list[float]:
        """Each pathway's mean over time: the integral of w."""
        values, lengths = np.array(self.weights), np.diff(self.times)
        return [float(mean) for mean in lengths @ (values[1:] + values[:-1]) / 2]

    def variant(self, name: str, seed: int = 0) -> Process:
        """The process itself or what it is compared with (`VARIANTS`). Raises BadUsage for an unknown name."""
        if name not in VARIANTS:
            raise unknown("variant of a process", name, VARIANTS)
        return VARIANTS[name](self, seed)

    @property
    def hash(self) -> str:
        """Identity of what it does: pathways, times and weights."""
        return json_hash([self.pathways, self.times, self.weights])

    def write(self, path: Path) -> None:
        """As JSON, the same bytes for the same process."""
        write_json(
            path,
            {
                "version": VERSION,
                "pathways": list(self.pathways),
                "times": list(self.times),
                "weights": [list(row) for row in self.weights],
                "made_by": self.made_by,
            },
        )


def _shuffled(process: Process, seed: int) -> Process:
    order = np.random.default_rng(seed).permutation(len(process.times))
    return replace(process, weights=tuple(process.weights[place] for place in order))


def _uniform(process: Process, seed: int) -> Process:
    averages = process.averages
    return process.constant([sum(averages) / len(averages)] * len(averages))


VARIANTS: dict[str, Callable[[Process, int], Process]] = {
    "replay": lambda process, seed: process,
    "mean": lambda process, seed: process.constant(process.averages),
    "shuffled": _shuffled,
    "uniform": _uniform,
    "none": lambda process, seed: process.constant([0.0] * len(process.pathways)),
}
"""`replay` as learned; `mean` each pathway's mean at all times; `shuffled` its rows of weights in an order drawn by the
seed; `uniform` the mean over time and pathways for all; `none` no pathway."""


def read_process(path: Path) -> Process:
    """The process in a file. Raises BadInput for a missing or damaged file and for one of a version we do not know."""
    if not path.exists():
        raise BadInput(f"no process {path}: `python -m distill process` learns one")
    again = "restore the file or learn it again"
    values = read_json(path, again, ("version",))
    if values["version"] != VERSION:
        raise BadInput(f"the process {path} is of version {values['version']}, this program reads {VERSION}")
    with reading(path, again):
        return Process(
            tuple(map(str, values["pathways"])),
            tuple(map(float, values["times"])),
            tuple(tuple(map(float, row)) for row in values["weights"]),
            dict(values["made_by"]),
        )


def read_processes(paths: Sequence[Path]) -> dict[str, Process]:
    """Of each file by its name without the ending; the first of them by the empty name too, as the pair's own.

    Raises BadInput as `read_process` does, and BadUsage for two files of one name.
    """
    found: dict[str, Process] = {}
    for path in paths:
        if path.stem in found:
            raise BadUsage(f"--process {path}: another process is called {path.stem} too")
        found[path.stem] = read_process(path)
    return {"": next(iter(found.values())), **found} if found else {}


def _rounded(values: Any) -> Any:
    if isinstance(values, tuple):
        return tuple(map(_rounded, values))
    if values == 0 or not math.isfinite(values):
        return float(values)
    return float(f"{values:.{SIGNIFICANT}g}")
