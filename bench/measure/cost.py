"""What each proxy costs: its own pass over a sample of cells, beside plain forward passes of the same networks.

Times are taken in turns in one process on one thread, so that a slow spell of the machine hits all; images are noise.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch

from bench.benchmarks import Benchmark
from bench.measure.speed import NoiseSetup, noise
from bench.plan import Pass, select
from bench.worker import Worker
from common import results
from common.files import together
from common.formats import write_csv, write_json
from proxies import registry
from proxies.base import Population, Proxy
from spaces.draw import Draw

FOLDER = results.COSTS


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

    populations: tuple[str, ...] = ()
    """Those of `each` that rank cells by the scores of others: alone, they have all their parts scored."""

    @property
    def share(self) -> float:
        """Cost of all together over the sum of single runs."""
        return self.together.seconds / sum(cost.seconds for cost in self.each)

    @property
    def share_of_passes(self) -> float:
        """The same without populations, whose parts are counted among `each` already."""
        alone = sum(cost.seconds for cost in self.each if cost.proxy not in self.populations)
        return self.together.seconds / alone


def measure(setting: Benchmark, chosen: Sequence[Proxy | Population], sample: int, device: str = "cpu") -> Costs:
    """Mean over the first `sample` functions of the visiting order, a warm-up cell before them."""
    reads = {one.label: [one] if isinstance(one, Proxy) else registry.parts(one) for one in chosen}
    proxies = list({proxy.label: proxy for read in reads.values() for proxy in read}.values())
    number_of = {proxy.label: number for number, proxy in enumerate(proxies)}
    numbers = [[number_of[proxy.label] for proxy in read] for read in reads.values()]
    worker = NoiseSetup(setting, tuple(proxies), (), None, device)()
    draw, images = Draw(0, device=device), noise(setting, device).images
    space = setting.space
    cells = select("functions", space, sample)
    forward = 0.0
    alone = [0.0] * len(reads)
    together = 0.0
    for count, cell in enumerate((cells[0], *cells)):
        spent = [_seconds(device, _forward, setting, draw, images, cell)]
        spent += [_seconds(device, _score, worker, proxies, cell, of_one) for of_one in numbers]
        spent += [_seconds(device, _score, worker, proxies, cell, range(len(proxies)))]
        if count:
            forward += spent[0]
            alone = [total + more for total, more in zip(alone, spent[1:-1], strict=True)]
            together += spent[-1]
    each = [Cost(label, total / sample, total / forward) for label, total in zip(reads, alone, strict=True)]
    populations = tuple(one.label for one in chosen if isinstance(one, Population))
    return Costs(each, Cost("all", together / sample, together / forward), populations)


def _seconds(device: str, work: Callable[..., None], *values: object) -> float:
    gc.collect()  # else it comes round at the same proxy in every round
    start = time.perf_counter()
    work(*values)
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _forward(setting: Benchmark, draw: Draw, images: torch.Tensor, cell: int) -> None:
    network = setting.space.builder("own")(setting.space.at(cell), setting.skeleton, draw, "function")
    with torch.no_grad():
        network(images)


def _score(worker: Worker, proxies: Sequence[Proxy], cell: int, numbers: Sequence[int]) -> None:
    """The passes that give these proxies their scores of a cell: one for each initialisation and class."""
    passes: dict[tuple[str, int], list[int]] = {}
    for number in numbers:
        proxy = proxies[number]
        stands_for = worker.space.representatives(proxy.sees)[cell]
        passes.setdefault((proxy.init, stands_for), []).append(number)
    for (init, stands_for), readers in passes.items():
        worker.score(Pass(0, init, stands_for, tuple(readers)))


def write(costs: Costs, name: str, provenance: dict[str, Any], folder: Path = FOLDER) -> Path:
    """`<benchmark>.csv` (proxy, seconds, forwards), what measured it in a JSON file beside."""
    path = folder / f"{name}.csv"
    rows = [cost._asdict() for cost in [*costs.each, costs.together]]
    frame = pd.DataFrame(rows).round({"seconds": 5, "forwards": 2})
    with together(path):
        write_json(path.with_suffix(".json"), provenance)
        write_csv(path, frame)
    return path
