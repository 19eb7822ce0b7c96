"""What happens in a worker: networks are built and observed, proxies read them, rows come out."""

from __future__ import annotations

import pickle
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import nn

import images
from bench.benchmarks import Benchmark
from bench.checks.chance import Chance, Rounding, judge_closely
from bench.checks.judge import Judged, judge
from bench.plan import Pass, alike, cells_together, derives_as_group, parts
from common import modules
from common.crew import alive
from common.errors import BadInput
from common.reproducible import put_back, random_states, reproducible, settings
from images.base import Batch, DataSet
from images.noise import noise
from probe.batched import Group, GroupProbe
from probe.needs import BACKWARD
from probe.network import Probe
from probe.views import views
from probe.watched import Watched
from proxies.base import NotApplicable, Proxy, too_few
from spaces.draw import Draw
from spaces.kept import ROOM, Keep, Kept
from spaces.space import SEES, Architecture, Skeleton


class Outcome(NamedTuple):
    """What a proxy (by number) made of a pass."""

    proxy: int
    seed: int
    cell: int
    score: float | None
    status: str
    reason: str


@dataclass(frozen=True)
class Setup:
    """All that a worker needs to know; pickles. `files` are the user's modules in which proxies may be defined."""

    benchmark: Benchmark
    proxies: tuple[Proxy, ...]
    files: tuple[Path, ...]
    data: Path | None
    device: str
    together: int | None = None
    """How many cells are run as one network; None is what suits the benchmark and the device."""
    room: int = ROOM
    """Bytes that a worker keeps of what networks of a draw have in common."""
    images_seed: int | None = None
    """Draws the images of every pass; None where the pass's own seed does, as in a benchmark."""
    batches: Mapping[tuple[str, int], Batch] = field(default_factory=dict, repr=False)
    """What is drawn already, by `batch` or `second_batch` and seed: for these no worker reads the data set."""

    def __call__(self) -> Worker:
        reproducible()
        return self.worker()

    def worker(self) -> Worker:
        """In a process that is set up."""
        return Worker(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # what a user's file defines unpickles, and is found by name, only where that file was loaded before
        values = [getattr(self, one.name) for one in fields(self)]
        return _unpickled, (modules.hashes((*modules.in_use(), *self.files)), type(self), pickle.dumps(values))


def _unpickled(files: dict[Path, str], cls: type[Setup], values: bytes) -> Setup:
    modules.use(files)
    if changed := [path for path, found in modules.hashes(files).items() if found != files[path]]:
        raise BadInput(f"{changed[0]} was changed while it was in use: start again")
    return cls(*pickle.loads(values))


class _Refused(Exception):
    """A proxy, by number, did what harms others or makes its score a matter of chance; None where it is not known
    which one."""

    def __init__(self, proxy: int | None, why: str = "") -> None:
        super().__init__(proxy, why)
        self.proxy = proxy
        self.why = why


Build = Callable[[Skeleton, str], nn.Module]
"""A network on a skeleton that executes what its readers see (spaces/nb201/equivalence.py)."""


class Worker:
    """Batches, draws and teachers of the latest seeds, kept between passes."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.together = setup.together or cells_together(setup.benchmark, setup.device)
        self._grouped = self.together > 1  # a group of one is still one: company does not move the last digits
        small = setup.together is None and derives_as_group(setup.benchmark, setup.device)
        self._derives_grouped = self._grouped or small
        self._rounding = Rounding(setup.device == "cpu", 1e-4 if self._derives_grouped else 0.0)
        self.proxies = setup.proxies
        self.space = setup.benchmark.space
        self._build = self.space.builder(setup.benchmark.backbone)
        # two of each: seeds come one after the other, initialisations within a seed alternate
        self._batch = lru_cache(maxsize=2)(self._load_batch)
        self._second = lru_cache(maxsize=2)(self._load_second)
        self._noise = lru_cache(maxsize=6)(self._make_noise)  # three views have some
        self._draw = lru_cache(maxsize=12)(self._make_draw)  # of the benchmark's skeleton and of two views'
        self._engine = lru_cache(maxsize=12)(self._make_engine)
        self._teacher = lru_cache(maxsize=4)(self._make_teacher)
        self._watched_teacher = lru_cache(maxsize=4)(self._watch_teacher)
        self._kept = Kept(setup.room)
        self._refused: set[int] = set()
        """Proxies, by number, that were seen to write into what they read, or to draw: scored by themselves."""
        self._looks = defaultdict[int, int](lambda: 2)
        """In how many passes a proxy, by number, is still looked at closely, and with it all who share them."""
        self._random = random_states()
        """Those that the latest passes have left."""
        self._settings = settings()
        """Those of the process, that every score is computed under."""
        self._harmless = False
        """Whether random numbers are drawn that change no score, as by layers whose weights are then replaced."""

    @cached_property
    def _data_set(self) -> DataSet:
        """Loaded when a proxy first reads images, then kept for all seeds."""
        return images.load(self.setup.benchmark.data_set, self.setup.data)

    def _images_seed(self, seed: int) -> int:
        return seed if self.setup.images_seed is None else self.setup.images_seed

    def _load_batch(self, seed: int) -> Batch:
        size = self.setup.benchmark.batch
        drawn = self.setup.batches.get(("batch", seed))
        return self._placed(drawn or self._data_set.batch(size, self._images_seed(seed)))

    def _load_second(self, seed: int) -> Batch:
        size = self.setup.benchmark.batch
        drawn = self.setup.batches.get(("second_batch", seed))
        return self._placed(drawn or self._data_set.second_batch(size, self._images_seed(seed)))

    def _make_noise(self, seed: int, name: str, count: int, side: int) -> Batch:
        return self._placed(noise(name, self._images_seed(seed), count, side, self.setup.benchmark.skeleton.classes))

    def _placed(self, batch: Batch) -> Batch:
        """A copy on the device: what a proxy writes into it is not in the next one."""
        alive()  # reading a data set takes its time once
        pixels = batch.images.to(self.setup.device, copy=True, memory_format=torch.channels_last)
        return Batch(pixels, batch.labels.to(self.setup.device, copy=True), batch.hash)

    def _teachers_batch(self, seed: int) -> Batch:
        """What the teacher is shown beside the students of a seed."""
        setting = self.setup.benchmark
        if setting.teacher.blind:
            return self._noise(seed, "teacher", setting.batch, setting.skeleton.size)
        return self._batch(seed)

    def batch_hash(self, seed: int) -> str:
        """Content hash of the batch of a seed."""
        return self._batch(seed).hash

    def second_hash(self, seed: int) -> str:
        """Content hash of the second batch of a seed."""
        return self._second(seed).hash

    def _make_draw(self, skeleton: Skeleton, seed: int, init: str, role: str = "") -> Draw:
        return Draw(seed, init, role=role, momentum=0.0, device=self.setup.device)

    def _make_engine(self, seed: int, init: str, skeleton: Skeleton) -> Any:
        return self.space.engine(skeleton, self._draw(skeleton, seed, init))

    def teacher(self, seed: int, init: str) -> Probe:
        """The teacher's probe, one for each seed and initialisation that its weights depend on."""
        return self._teacher(seed, init if self.setup.benchmark.teacher.drawn else "")

    def _watch_teacher(self, seed: int, init: str) -> Watched:
        return Watched(self.teacher(seed, init), copies=True, role="teacher")

    def _make_teacher(self, seed: int, init: str) -> Probe:
        teacher = self.setup.benchmark.teacher
        own = teacher.skeleton_for(self.setup.benchmark.skeleton)
        readers = [proxy for proxy in self.proxies if "teacher" in proxy.needs and init in (proxy.init, "")]

        if not teacher.of_space:
            from proxies.module import observed_teacher  # only where a teacher is one's own

            network = teacher.network(own, self._draw(own, seed, "default", "teacher "), "function", self._build)
            return observed_teacher(network, self._teachers_batch(seed), readers, seed=seed)

        def build(skeleton: Skeleton, sees: str) -> nn.Module:
            if skeleton != own and not teacher.scales:
                raise NotApplicable("this teacher has no small or thin form")
            draw = self._draw(skeleton, seed, init or "default", "teacher ")  # who is not drawn takes its device alone
            return teacher.network(skeleton, draw, sees, self._build)

        return self._probe(teacher.architecture, own, seed, readers, build, partial(self._teachers_batch, seed))

    def _cells(self, cell: Architecture, seed: int, init: str) -> Build:
        """How a cell's networks are built, of the draw of its seed and initialisation."""
        return lambda skeleton, sees: self._build(cell, skeleton, self._draw(skeleton, seed, init), sees)

    def observe(self, task: Pass) -> Probe:
        """The student's probe of a pass, by itself."""
        readers = [self.proxies[number] for number in task.proxies]
        cell, skeleton = self.space.at(task.cell), self.setup.benchmark.skeleton
        kept = partial(self._kept.of, task.seed, task.init)
        networks, batch = self._cells(cell, task.seed, task.init), partial(self._batch, task.seed)
        return self._probe(cell, skeleton, task.seed, readers, networks, batch, kept)

    def _group(self, tasks: Sequence[Pass]) -> Group:
        """The students of passes of one seed, one initialisation and the same readers."""
        first, alone = tasks[0], self.observe(tasks[0])
        return Group(
            [self.space.at(task.cell) for task in tasks],
            self.setup.benchmark.skeleton,
            partial(self._engine, first.seed, first.init),
            _seen_by(self.proxies[number] for number in first.proxies),
            partial(self._batch, first.seed),
            alone.needs,
            alone.views,
        )

    def _probe(
        self,
        cell: Architecture,
        skeleton: Skeleton,
        seed: int,
        readers: Sequence[Proxy],
        network: Build,
        batch: Callable[[], Batch],
        kept: Callable[..., Keep] | None = None,
    ) -> Probe:
        """A probe that records what its readers need, on a network that executes what they see."""
        needs = {need for proxy in readers for need in proxy.needs}
        sees = _seen_by(readers)

        def build(skeleton: Skeleton) -> nn.Module:
            return network(skeleton, sees)

        count = self.setup.benchmark.batch
        further = views(skeleton, count, partial(self._second, seed), partial(self._noise, seed), build)
        return Probe(cell, skeleton, partial(build, skeleton), batch, needs, further, kept)

    def score(self, task: Pass) -> list[Outcome]:
        """Every proxy's outcome for a pass, in the order of the pass."""
        return self.score_together([task])

    def score_together(self, tasks: Sequence[Pass]) -> list[Outcome]:
        """The outcomes of passes of one seed, one initialisation and the same readers, in their order.

        A proxy that writes into what it reads, or draws random numbers of the whole process, is scored by itself, and
        the others as they would be without it.
        """
        proxies = tasks[0].proxies
        if not self._refused.intersection(proxies):
            try:
                return self._undrawn(tasks)
            except _Refused as refused:
                self._forget()
                if refused.proxy is None:
                    self._looks.update({number: self._looks[number] + len(tasks) for number in proxies})
                    return self.score_together(tasks)
                self._refused.add(refused.proxy)
        others = tuple(number for number in proxies if number not in self._refused)
        found = self.score_together([task._replace(proxies=others) for task in tasks]) if others else []
        for task in tasks:
            found += [self._apart(task, number) for number in proxies if number in self._refused]
        of = {(outcome.cell, outcome.proxy): outcome for outcome in found}
        return [of[task.cell, number] for task in tasks for number in proxies]

    def _apart(self, task: Pass, proxy: int) -> Outcome:
        """The outcome of a proxy that may do what it must not, of which nothing is kept."""
        task = task._replace(proxies=(proxy,))
        self._looks[proxy] += 1
        try:
            (outcome,) = self._scored_together([task])
        except _Refused as refused:
            outcome = Outcome(proxy, task.seed, task.cell, None, "error", refused.why)
        self._forget()
        return outcome

    def _forget(self) -> None:
        """Let go of all that probes are made from: somebody may have written into it."""
        self._random = random_states()
        self.__dict__.pop("_data_set", None)
        for kept in (self._batch, self._second, self._noise, self._draw, self._engine, self._teacher):
            kept.cache_clear()
        self._watched_teacher.cache_clear()
        self._kept.clear()

    def _undrawn(self, tasks: Sequence[Pass]) -> list[Outcome]:
        """As `_scored_together`. Raises _Refused also where random numbers were drawn and nobody has looked closely."""
        close = max(self._looks[number] for number in tasks[0].proxies) >= len(tasks)
        found, before = self._scored_together(tasks), self._random
        self._random = random_states()
        if self._random != before and not close and not self._harmless:
            raise _Refused(None)
        return found

    def _scored_together(self, tasks: Sequence[Pass]) -> list[Outcome]:
        """As `score_together`, of proxies that are not known to do harm. Raises _Refused for one that does.

        Where a run of several cells fails, all of them fail. They are scored again, one at a time, or in halves where
        memory did not suffice.
        """
        students: list[Probe] = [self.observe(task) for task in tasks]
        if not (self._derives_grouped if self._derives(tasks[0]) else self._grouped):
            return [outcome for each in zip(tasks, students, strict=True) for outcome in self._judged(*each)]
        group = self._group(tasks)
        students = [GroupProbe(group, number, student) for number, student in enumerate(students)]
        found = [self._judged(*each) for each in zip(tasks, students, strict=True)]
        if len(tasks) == 1 or not group.was_run:
            return [outcome for outcomes in found for outcome in outcomes]
        statuses = [{outcome.status for outcome in outcomes} for outcomes in found]
        failed = [task for task, status in zip(tasks, statuses, strict=True) if status & {"oom", "error"}]
        size = 1
        if any("oom" in status for status in statuses):
            size = self.together = max(1, len(tasks) // 2)
            del group, students  # and what they hold
            if self.setup.device.startswith("cuda"):
                torch.cuda.empty_cache()
        again = {outcome[:3]: outcome for part in parts(failed, size) for outcome in self.score_together(part)}
        return [again.get(outcome[:3], outcome) for outcomes in found for outcome in outcomes]

    def _judged(self, task: Pass, student: Probe) -> list[Outcome]:
        """The outcomes of a pass. Raises _Refused where what others read, or a setting of the process, was changed.

        Who it was is asked after each proxy of a pass that is looked at closely, for which contents are compared. Then
        a score that is a matter of chance is refused as well.
        """
        close = any(self._looks[number] for number in task.proxies)
        seen, teacher = Watched(student, copies=close), self._watched_teacher(task.seed, task.init)
        probes = cast("tuple[Probe, Probe]", (seen, teacher))
        outcomes = []
        for number in task.proxies:
            proxy, chance = self.proxies[number], Chance()
            with seen.read_by(proxy.needs), teacher.read_by(proxy.needs):
                if why := too_few(proxy, self.setup.benchmark.batch, lambda: student.labels):
                    found = Judged(None, "not_applicable", why)
                elif close:
                    found, chance = judge_closely(proxy, *probes, lambda: self.observe(task), self._rounding)
                else:
                    found = judge(proxy, *probes)
            outcomes.append(Outcome(number, task.seed, task.cell, *found))
            if close or number == task.proxies[-1]:
                if changed := put_back(self._settings):
                    raise _Refused(number if close else None, f"changed {changed}: put it back before it returns")
                if what := _written(seen, teacher, close):
                    raise _Refused(number if close else None, f"changed its input: {what}")
            if chance.why:
                raise _Refused(number, chance.why)
            self._looks[number] = max(self._looks[number] - 1, 0)
            self._harmless = self._harmless or chance.harmless
        alive()
        return outcomes

    def _derives(self, task: Pass) -> bool:
        """Whether somebody differentiates, or reads networks of few channels, which a group convolves otherwise too."""
        needs = [need for number in task.proxies for need in self.proxies[number].needs]
        return any(need.rpartition(".")[2] in BACKWARD or need.startswith(("thin.", "small.")) for need in needs)

    def score_all(self, tasks: Sequence[Pass]) -> list[Outcome]:
        """The outcomes of passes, those that can be observed together at a time."""
        return [
            outcome
            for same in alike(tasks)
            for part in parts(same, self.together)
            for outcome in self.score_together(part)
        ]


def _written(student: Watched, teacher: Watched, contents: bool) -> str:
    of_teacher = [f"teacher.{name}" for name in teacher.written(contents).split(", ") if name]
    return ", ".join([*filter(None, [student.written(contents)]), *of_teacher])


def _seen_by(readers: Iterable[Proxy]) -> str:
    """What a network has to execute for all of them."""
    return max((proxy.sees for proxy in readers), key=SEES.index, default="function")


def score_chunk(worker: Worker, chunk: Sequence[Pass]) -> list[Outcome]:
    """The outcomes of several passes."""
    return worker.score_all(chunk)
