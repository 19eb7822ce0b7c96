"""What each proxy costs: its own pass over a sample of cells, beside plain forward passes of the same networks.

Times are taken in turns in one process on one thread, so that a slow spell of the machine hits all; images are noise.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch

from bench.benchmarks import Benchmark
from bench.plan import Pass, select
from bench.speed import NoiseSetup, noise
from bench.worker import Worker
from common.files import write_json, write_whole
from proxies.base import Proxy
from spaces.equivalence import representatives
from spaces.nb201 import cell_at
from spaces.network import CellNetwork
from spaces.supernet import Supernet

FOLDER = Path("results/costs")


class Cost(NamedTuple):
    """Seconds a cell, for the teacher nothing: it is met before."""

    proxy: str
    seconds: float
    forwards: float
    """The same in forward passes of the benchmark's network, without gradients, on the same cells."""


class Costs(NamedTuple):
    """Of all proxies, and of all together."""

    each: list[Cost]
    together: Cost
    """One run that names them all."""

    @property
    def share(self) -> float:
        """Cost of all together over the sum of single runs."""
        return self.together.seconds / sum(cost.seconds for cost in self.each)


def measure(setting: Benchmark, proxies: Sequence[Proxy], sample: int, device: str = "cpu") -> Costs:
    """Mean over the first `sample` functions of the visiting order, a warm-up cell before them."""
    worker = NoiseSetup(setting, tuple(proxy.label for proxy in proxies), (), None, device)()
    supernet, images = Supernet(setting.skeleton, 0, device=device), noise(setting, device).images
    cells = select("functions", sample)
    forward = 0.0
    alone = [0.0] * len(proxies)
    together = 0.0
    for count, cell in enumerate((cells[0], *cells)):
        spent = [_seconds(device, _forward, supernet, images, cell)]
        spent += [_seconds(device, _score, worker, proxies, cell, [number]) for number in range(len(proxies))]
        spent += [_seconds(device, _score, worker, proxies, cell, range(len(proxies)))]
        if count:
            forward += spent[0]
            alone = [total + more for total, more in zip(alone, spent[1:-1], strict=True)]
            together += spent[-1]
    each = [Cost(proxy.label, total / sample, total / forward) for proxy, total in zip(proxies, alone, strict=True)]
    return Costs(each, Cost("all", together / sample, together / forward))


def _seconds(device: str, work: Callable[..., None], *values: object) -> float:
    start = time.perf_counter()
    work(*values)
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _forward(supernet: Supernet, images: torch.Tensor, cell: int) -> None:
    network = CellNetwork(cell_at(cell), supernet)
    with torch.no_grad():
        network(images)


def _score(worker: Worker, proxies: Sequence[Proxy], cell: int, numbers: Sequence[int]) -> None:
    """The passes that give these proxies their scores of a cell: one for each initialisation and class."""
    passes: dict[tuple[str, int], list[int]] = {}
    for number in numbers:
        proxy = proxies[number]
        passes.setdefault((proxy.init, representatives(proxy.sees)[cell]), []).append(number)
    for (init, stands_for), readers in passes.items():
        worker.score(Pass(0, init, stands_for, tuple(readers)))


def write(costs: Costs, name: str, provenance: dict[str, Any], folder: Path = FOLDER) -> Path:
    """`<benchmark>.csv` (proxy, seconds, forwards), what measured it in a JSON file beside."""
    path = folder / f"{name}.csv"
    rows = [cost._asdict() for cost in [*costs.each, costs.together]]
    frame = pd.DataFrame(rows).round({"seconds": 5, "forwards": 2})
    write_whole(path, frame.to_csv(index=False, lineterminator="\n").encode())
    write_json(path.with_suffix(".json"), provenance)
    return path
