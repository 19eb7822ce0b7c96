"""Our rate beside the conventional loop, both measured in one run on the same machine: ratios, never absolute promises.

The conventional loop is what the published scripts do: one cell at a time, xautodl's network, for each cell a forward
and a backward pass of teacher and student, PyTorch on all cores. Noise images: time does not depend on what they show.
"""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
import torch.nn.functional as F

from bench.benchmarks import Benchmark, benchmark
from bench.measure.lower_bound import Work, rates, work
from bench.measure.shares import shares
from bench.plan import Pass, Want, cells_together, passes, visiting_order
from bench.teachers import CellTeacher
from bench.worker import Outcome, Setup, Worker, score_chunk
from common import results
from common.errors import BadUsage
from common.files import together
from common.formats import write_csv, write_json
from common.pool import Died, Job, cores, run
from images.base import Batch
from images.noise import noise as draw_noise
from proxies import registry
from spaces.draw import Draw
from spaces.nb201.cell import Cell, cell_at, cells
from spaces.nb201.sets import cell_set
from spaces.nb201.skeleton import CellSkeleton
from spaces.nb201.space import NB201
from spaces.nb201.xautodl_backbone import XautodlNetwork
from spaces.space import Space

FOLDER = results.SPEED


def noise(setting: Benchmark, device: str, seed: int = 0) -> Batch:
    """N(0, 1) images and labels of the benchmark's shape."""
    batch = draw_noise("speed", seed, setting.batch, setting.skeleton.size, setting.skeleton.classes)
    return Batch(
        batch.images.to(device).contiguous(memory_format=torch.channels_last), batch.labels.to(device), f"noise {seed}"
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

    meeting: Path | None = None
    """An empty folder where workers wait for one another, so that no start is part of what is measured."""
    workers: int = 1

    def worker(self) -> Worker:
        """After the others have come."""
        if self.meeting:
            (self.meeting / str(os.getpid())).touch()
            patience = time.monotonic() + 300
            while len(list(self.meeting.iterdir())) < self.workers and time.monotonic() < patience:
                time.sleep(0.01)
        return NoiseWorker(self)


class Family(NamedTuple):
    """Proxies of one run, and the loop that a published script would run for each of them."""

    proxies: str
    loops: tuple[str, ...]
    """`pair`: forward and backward pass of teacher and student; `backward`, `forward`: of the student alone."""


FAMILIES = (
    Family("diswot", ("pair",)),
    Family("nwot", ("forward",)),
    Family("snip", ("backward",)),
    Family("jacov", ("backward",)),
    Family("diswot,nwot,kd", ("pair", "forward", "pair")),
    Family("snip,grad_norm,fisher,synflow", ("backward",) * 4),
)


class Speed(NamedTuple):
    """Of a family: wall-clock seconds of a cell in the conventional loops and of a pass of ours."""

    proxies: str
    conventional: float
    own: float
    passes: int
    """Of ours that score all cells."""

    @property
    def ratio(self) -> float:
        """The conventional loops' time for all cells over ours."""
        return self.conventional * len(cells()) / (self.own * self.passes)


class Distance(NamedTuple):
    """How far a pass of ours is from the least that it could take."""

    proxies: str
    own: float
    """Wall-clock seconds with all workers, mean over the functions measured."""
    floor: Work
    """Seconds that its multiply-adds and its maps take at the least, with all workers; the mean over the same."""
    shares: dict[str, float]
    """What its time went to in one process (bench/measure/shares.py)."""

    @property
    def over_arithmetic(self) -> float:
        """Over the multiply-adds alone."""
        return self.own / self.floor.multiply_adds

    @property
    def over_both(self) -> float:
        """Over multiply-adds and maps one after the other, as operations that each run over whole maps take them."""
        return self.own / sum(self.floor)


class Speeds(NamedTuple):
    """What was measured in one run, in turns."""

    families: list[Speed]
    one_worker: float
    """Seconds of a pass of diswot with one worker."""
    rates: Work
    """Multiply-adds and bytes a second of all workers."""
    distances: list[Distance]
    """Of diswot, which looks forward, and of snip, which differentiates."""

    @property
    def scaling(self) -> float:
        """One worker's time over all workers'."""
        return self.one_worker / self.families[0].own


def conventional_seconds(setting: Benchmark, loop: str, sample: Sequence[int], device: str) -> list[float]:
    """Seconds of each cell in a conventional loop, after one cell that does not count."""
    torch.set_num_threads(cores())
    batch = noise(setting, device)
    draw = Draw(0, device=device)
    assert isinstance(setting.teacher, CellTeacher)
    assert isinstance(setting.skeleton, CellSkeleton)
    teacher_draw = Draw(0, role="teacher ", device=device)
    teacher = XautodlNetwork(Cell.parse(setting.teacher.cell), setting.teacher.skeleton, teacher_draw)
    seconds = []
    for cell in (sample[0], *sample):
        student = XautodlNetwork(cell_at(cell), setting.skeleton, draw)  # building it is not counted
        start = time.perf_counter()
        found = []
        for network in (teacher, student) if loop == "pair" else (student,):
            with torch.set_grad_enabled(loop != "forward"):
                output = network(batch.images.contiguous())
            if loop != "forward":
                loss = F.cross_entropy(output.logits, batch.labels)
                gradients = torch.autograd.grad(loss, list(network.parameters()), materialize_grads=True)
                found.append((gradients[-2], output.features[-1].flatten(1)))
        if loop == "pair":
            _score = sum((a - b).square().mean().item() for a, b in zip(*found, strict=True))
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


def _run_of(
    setting: Benchmark, proxies: str, sample: Sequence[int], device: str, workers: int
) -> tuple[NoiseSetup, list[tuple[Pass, ...]]]:
    """The set-up and the tasks of a run over `sample`."""
    chosen = tuple(registry.create_all(proxies))
    tasks = passes([Want(number, 0, sample) for number in range(len(chosen))], chosen, setting.space)
    # as large as a run's, if that leaves some for every worker
    size = max(1, min(cells_together(setting, device), len(tasks) // (2 * workers)))
    parts = [tuple(tasks[start : start + size]) for start in range(0, len(tasks), size)]
    return NoiseSetup(setting, chosen, (), None, device), parts


def own_seconds(setting: Benchmark, proxies: str, sample: Sequence[int], device: str, workers: int) -> float:
    """Wall-clock seconds a pass in a run over `sample`, workers warmed up."""
    setup, parts = _run_of(setting, proxies, sample, device, workers)
    # everything once before: then a worker has drawn its weights, met its teacher, and has the memory that it takes
    warm = max(len(parts), 2 * workers)
    start = end = 0.0
    with tempfile.TemporaryDirectory() as folder:
        job: Job[tuple[Pass, ...], list[Outcome]] = Job(
            replace(setup, meeting=Path(folder), workers=workers), score_chunk
        )
        results = run(job, itertools.chain(itertools.islice(itertools.cycle(parts), warm), parts), workers)
        for done, (_, result) in enumerate(results, 1):
            assert not isinstance(result, Died)
            end = time.perf_counter()  # of the last result: workers take a second to leave
            if done == warm:
                start = end
    return (end - start) / sum(map(len, parts))


def own_shares(setting: Benchmark, proxies: str, sample: Sequence[int], device: str) -> dict[str, float]:
    """What the passes of a run over `sample` spend their time on, in this process."""
    setup, parts = _run_of(setting, proxies, sample, device, 1)
    worker = setup()
    score_chunk(worker, parts[0])
    return shares(lambda: [score_chunk(worker, part) for part in parts], device)


def sweep_passes(proxies: str, space: Space) -> int:
    """Passes that score all cells."""
    chosen = registry.create_all(proxies)
    return len(passes([Want(number, 0, visiting_order(space)) for number in range(len(chosen))], chosen, space))


def _samples(population: Container[int], skeleton: CellSkeleton, sample: int, rounds: int) -> list[list[int]]:
    """For each round cells of every size: of the population in order of multiply-adds every so manieth.

    Time follows these, and a few dozen cells drawn at random miss the mean of all by a tenth.
    """
    cells_of = [cell for cell in visiting_order(NB201) if cell in population]
    ordered = sorted(cells_of, key=lambda cell: skeleton.count_multiply_adds(cell_at(cell)))
    count = sample * rounds
    chosen = [ordered[(2 * at + 1) * len(ordered) // (2 * count)] for at in range(count)]
    # large and small ones mixed, so that workers end together
    return [sorted(chosen[number::rounds], key=cells_of.index) for number in range(rounds)]


def measure(name: str, sample: int, rounds: int, device: str, workers: int) -> Speeds:
    """Medians over rounds; within a round the loops take turns, so that a slow spell of the machine hits all."""
    setting = benchmark(name)
    if not isinstance(setting.teacher, CellTeacher):
        raise BadUsage(f"--benchmark {name}: the conventional loop is that of NAS-Bench-201's cells")
    skeleton = setting.skeleton
    assert isinstance(skeleton, CellSkeleton)
    conventional: dict[str, list[float]] = {}
    own: dict[str, list[float]] = {}
    one, found_rates = [], []
    all_cells = _samples(range(len(cells())), skeleton, sample, rounds)
    functions = _samples(set(cell_set("functions")), skeleton, sample, rounds)
    for part, chosen in zip(all_cells, functions, strict=True):
        for loop in ("pair", "backward", "forward"):
            spent = conventional_seconds(setting, loop, part, device)
            conventional.setdefault(loop, []).append(statistics.fmean(spent))
        found_rates.append(rates(device, workers))
        for family in FAMILIES:
            spent_own = own_seconds(setting, family.proxies, chosen, device, workers)
            own.setdefault(family.proxies, []).append(spent_own)
        one.append(own_seconds(setting, "diswot", chosen, device, 1))
    median = statistics.median
    families = [
        Speed(
            family.proxies,
            sum(median(conventional[loop]) for loop in family.loops),
            median(own[family.proxies]),
            sweep_passes(family.proxies, setting.space),
        )
        for family in FAMILIES
    ]
    speed = Work(*(median(kind) for kind in zip(*found_rates, strict=True)))
    distances = []
    for proxies, backward in (("diswot", False), ("snip", True)):
        works = [work(cell_at(cell), skeleton, setting.batch, backward) for chosen in functions for cell in chosen]
        floor = Work(*(statistics.fmean(kind) for kind in zip(*works, strict=True))).seconds(speed)
        shares_of = own_shares(setting, proxies, functions[0], device)
        distances.append(Distance(proxies, median(own[proxies]), floor, shares_of))
    return Speeds(families, median(one), speed, distances)


def write(speeds: Speeds, name: str, provenance: dict[str, Any], folder: Path = FOLDER) -> Path:
    """`<benchmark>.csv`, a row a family, and what else was measured, where and with what, in a JSON file beside."""
    path = folder / f"{name}.csv"
    rows = [{**speed._asdict(), "ratio": speed.ratio} for speed in speeds.families]
    frame = pd.DataFrame(rows).round({"conventional": 4, "own": 5, "ratio": 1})
    further = {
        "scaling": round(speeds.scaling, 2),
        "multiply_adds_a_second": float(f"{speeds.rates.multiply_adds:.3g}"),
        "bytes_a_second": float(f"{speeds.rates.bytes:.3g}"),
        "floors": {
            distance.proxies: {
                "own": round(distance.own, 5),
                "multiply_adds": round(distance.floor.multiply_adds, 5),
                "bytes": round(distance.floor.bytes, 5),
                "over_arithmetic": round(distance.over_arithmetic, 2),
                "over_both": round(distance.over_both, 2),
                "shares": distance.shares,
            }
            for distance in speeds.distances
        },
    }
    with together(path):
        write_json(path.with_suffix(".json"), further | provenance)
        write_csv(path, frame)
    return path
