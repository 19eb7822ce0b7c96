"""Our rate beside the conventional loop, both measured in one run on the same machine: ratios, never absolute promises.

The conventional loop is what the published scripts do: one cell at a time, xautodl's network, for each cell a forward
and a backward pass of teacher and student, PyTorch on all cores. Noise images: time does not depend on what they show.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from bench.benchmarks import Benchmark, CellTeacher, benchmark
from bench.plan import Pass, Want, passes, visiting_order
from bench.worker import Outcome, Setup, Worker, score_chunk
from common.errors import BadUsage
from common.pool import Died, Job, cores, run
from images.base import Batch
from images.noise import noise as draw
from proxies import registry
from spaces.equivalence import representatives
from spaces.nb201 import Cell, cell_at, cell_set, cells
from spaces.supernet import Supernet
from spaces.xautodl_backbone import XautodlNetwork

TOGETHER = "diswot,nwot,kd"


def noise(setting: Benchmark, device: str, seed: int = 0) -> Batch:
    """N(0, 1) images and labels of the benchmark's shape."""
    batch = draw("speed", seed, setting.batch, setting.skeleton.size, setting.skeleton.classes)
    return Batch(
        batch.images.to(device).contiguous(memory_format=torch.channels_last), batch.labels.to(device), "noise"
    )


class NoiseWorker(Worker):
    """A worker as in any run, but on noise, so that no data set has to be there."""

    def _load_batch(self, seed: int) -> Batch:
        return noise(self.setup.benchmark, self.setup.device)

    def _load_second(self, seed: int) -> Batch:
        return noise(self.setup.benchmark, self.setup.device, 1)


@dataclass(frozen=True)
class NoiseSetup(Setup):
    """Sets up a `NoiseWorker`."""

    def __call__(self) -> Worker:
        torch.set_num_threads(1)
        return NoiseWorker(self)


@dataclass(frozen=True)
class Speeds:
    """Seconds of wall-clock time: one cell of the conventional loop, one pass of ours, and the same with company."""

    conventional: float
    own: float
    together: float
    passes: int
    """Passes of a sweep of diswot over all cells."""

    @property
    def sweep_ratio(self) -> float:
        """The conventional loop's time for all cells over ours."""
        return self.conventional * len(cells()) / (self.own * self.passes)

    @property
    def together_ratio(self) -> float:
        """Scoring `TOGETHER` over scoring diswot alone, on the same functions."""
        return self.together / self.own


def conventional_seconds(setting: Benchmark, sample: Sequence[int], device: str) -> list[float]:
    """Seconds of each cell in the conventional loop, after one cell that does not count."""
    torch.set_num_threads(cores())
    batch = noise(setting, device)
    supernet = Supernet(setting.skeleton, 0, device=device)
    assert isinstance(setting.teacher, CellTeacher)
    teacher_draw = Supernet(setting.teacher.skeleton, 0, role="teacher ", device=device)
    teacher = XautodlNetwork(Cell.parse(setting.teacher.cell), teacher_draw)
    seconds = []
    for cell in (sample[0], *sample):
        student = XautodlNetwork(cell_at(cell), supernet)  # building it is not counted
        start = time.perf_counter()
        found = []
        for network in (teacher, student):
            output = network(batch.images.contiguous())
            loss = F.cross_entropy(output.logits, batch.labels)
            parameters = list(network.parameters())
            gradients = torch.autograd.grad(loss, parameters, materialize_grads=True)
            found.append((gradients[-2], output.features[-1].flatten(1)))
        _score = sum((a - b).square().mean().item() for a, b in zip(*found, strict=True))
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


def own_seconds(setting: Benchmark, proxies: str, sample: Sequence[int], device: str, workers: int) -> float:
    """Wall-clock seconds a pass in a run over `sample`, workers warmed up."""
    named = tuple(proxy.label for proxy in registry.create_all(proxies))
    setup = NoiseSetup(setting, named, (), None, device)
    chosen = [registry.create(name) for name in named]
    wants = [Want(number, 0, sample) for number in range(len(chosen))]
    tasks: list[tuple[Pass, ...]] = [(task,) for task in passes(wants, chosen)]
    job: Job[tuple[Pass, ...], list[Outcome]] = Job(setup, score_chunk)
    warm = 2 * workers  # by then every worker has drawn its weights and met its teacher
    start, done = 0.0, 0
    for _, result in run(job, itertools.chain(tasks[:1] * warm, tasks), workers):
        assert not isinstance(result, Died)
        done += 1
        if done == warm:
            start = time.perf_counter()
    return (time.perf_counter() - start) / (done - warm)


def measure(name: str, sample: int, rounds: int, device: str, workers: int) -> Speeds:
    """Medians over rounds; within a round the loops take turns, so that a slow spell of the machine hits all."""
    setting = benchmark(name)
    if not isinstance(setting.teacher, CellTeacher):
        raise BadUsage(f"--benchmark {name}: the conventional loop is that of NAS-Bench-201's cells")
    conventional, own, together = [], [], []
    all_cells = visiting_order()
    functions = [cell for cell in all_cells if cell in set(cell_set("functions"))]
    for number in range(rounds):
        part = slice(number * sample, (number + 1) * sample)
        conventional.append(statistics.fmean(conventional_seconds(setting, all_cells[part], device)))
        own.append(own_seconds(setting, "diswot", functions[part], device, workers))
        together.append(own_seconds(setting, TOGETHER, functions[part], device, workers))
    count = len(set(representatives("function")))
    median = statistics.median
    return Speeds(median(conventional), median(own), median(together), count)
