"""Students cut out of a teacher's graph, trained again with distillation beside other networks of their size."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

import images
from common.errors import BadInput, BadUsage
from common.files import json_hash, together
from common.formats import read_json, write_json, write_records
from common.pool import Died, Job, run
from common.progress import Progress
from common.reproducible import reproducible
from distill.recipes import Recipe, recipe_hash
from distill.runs import data_hash
from distill.store import AccuracyStore
from distill.teachers import Teacher, hardware, held_out, load_teacher, spec
from distill.training import Answers, Group, Lockstep, Trained, live, logits_of, remembered
from images.stream import Stream
from search.subgraph.cell_choice import of_space, of_teacher
from search.subgraph.cell_graph import CellGraph
from search.subgraph.graph import Graph, Student
from search.subgraph.residual_graph import GROUPS, ResidualGraph
from search.subgraph.selection import Schedule, select
from search.subgraph.words import FOUND, GATES, RIVALS
from spaces.nb201.cell import cell_at, resolve
from spaces.resnet.network import ResNetShape, shape_named

GATES_STREAM = 2_000_000
"""Added to the seed of the images that gates are trained on: none that the students or the teacher will see."""
NO_CELL = -1
"""In the store of accuracies, whose key is a cell: the network is in the recipe's hash."""


def graph_of(teacher: str, gates: str, channels: int | None, cells: int | None) -> Graph:
    """The graph of a named teacher, `random:NAME` too, with other channels or cells (blocks) a stage on request.

    Raises BadUsage for an unknown name, and where the teacher's network has no such gates.
    """
    plan = spec(teacher.removeprefix("random:"))
    size = plan.recipe.skeleton.size
    if plan.network.startswith("nb201-"):
        _check(gates, ("edges", "operations"), f"the teacher {teacher} is of cells")
        skeleton = plan.recipe.skeleton
        skeleton = replace(
            skeleton, channels=channels or skeleton.channels, cells_per_stage=cells or skeleton.cells_per_stage
        )
        cell = cell_at(resolve(plan.network.removeprefix("nb201-")))
        return CellGraph(of_teacher(cell) if gates == "edges" else of_space(), skeleton, cell)
    _check(gates, ("blocks", "channels"), f"the teacher {teacher} is a {plan.network}")
    shape = shape_named(plan.network, plan.recipe.skeleton.classes)
    if shape.preactivated:
        raise BadUsage(f"--teacher {teacher}: a Wide ResNet has no gates; name a ResNet such as digits-resnet20")
    C, n = channels or shape.stem, cells or shape.depths[0]
    if gates == "channels" and C % GROUPS:
        raise BadUsage(f"--channels {C}: {GROUPS} groups of channels a block need a multiple of {GROUPS}")
    narrow = ResNetShape((n, n, n), shape.classes, (C, 2 * C, 4 * C), C)
    return ResidualGraph(narrow, size, GROUPS if gates == "channels" else 0)


def _check(gates: str, known: Sequence[str], why: str) -> None:
    if gates not in known:
        raise BadUsage(f"--gates {gates}: {why}, use {' or '.join(known)}")


@dataclass(frozen=True)
class Plan:
    """A `Plan` holds all that decides the results of a study, but for the seeds."""

    benchmark: str
    """The name of the recipe."""
    recipe: Recipe
    """Of the students; its skeleton is not used, theirs are."""
    gates: str
    graph: Graph
    budget: int
    schedule: Schedule
    modes: tuple[str, ...]
    rivals: int
    """Random subgraphs a seed at most."""

    def settings(self, teacher_hash: str, of_data: str) -> dict[str, Any]:
        """Return the settings for the file beside the results, and for the identity of a selection."""
        described = self.recipe.describe("distilled", teacher_hash, of_data)
        del described["skeleton"]
        return {
            "benchmark": self.benchmark,
            "gates": self.gates,
            "kind": GATES[self.gates],
            "elements": list(self.graph.names),
            "graph": self.graph.record(),
            "teacher_parameters": self.graph.parameters,
            "budget": self.budget,
            "schedule": asdict(self.schedule),
            "retraining": described,
        }


class History(NamedTuple):
    """A `History` holds gates, penalties and losses of a selection after each step, as a file of its own has them."""

    gates: list[list[float]]
    penalties: list[float]
    losses: list[float]

    @property
    def last(self) -> torch.Tensor:
        """The gates that are left, [gates]."""
        return torch.tensor(self.gates[-1])


class Training(NamedTuple):
    """A `Training` is one network with one seed, trained in all modes."""

    seed: int
    student: Student


@dataclass
class _Worker:
    """A `_Worker` keeps plan, teacher, data, and the images of the latest seed with the teacher's answers."""

    plan: Plan
    teacher: Teacher
    data_set: images.DataSet
    device: torch.device
    checkpoints: Path

    def __post_init__(self) -> None:
        self.teacher.network.to(self.device)
        self.material = lru_cache(maxsize=1)(self._material)

    @cached_property
    def splits(self) -> tuple[Any, Any]:
        return held_out(self.data_set, "val", self.device), held_out(self.data_set, "test", self.device)

    def _material(self, seed: int) -> tuple[Stream, Answers]:
        recipe = self.plan.recipe
        stream = self.data_set.stream(seed, recipe.steps, recipe.batch, self.device, recipe.images)
        said = [logits_of(self.teacher.network, stream.batch(step)[0]) for step in range(stream.steps)]
        return stream, remembered(torch.cat(said), recipe.batch)

    def select(self, seed: int) -> History:
        plan = self.plan
        stream = self.data_set.stream(GATES_STREAM + seed, plan.schedule.steps, plan.recipe.batch, self.device)
        network = plan.graph.network(seed, plan.recipe.init).to(self.device)
        found = select(network, stream, live(self.teacher.network), plan.recipe, plan.budget, plan.schedule)
        # an open gate stays above 0
        rounded = [[max(round(gate, 6), 1e-6) if gate else 0.0 for gate in gates] for gates in found.gates]
        penalties, losses = ([round(value, 6) for value in values] for values in (found.penalties, found.losses))
        return History(rounded, penalties, losses)

    def train(self, task: Training) -> tuple[list[Trained], float]:
        """One result for each mode: the same initialisation, the same images in the same order."""
        start, plan = time.perf_counter(), self.plan
        stream, answers = self.material(task.seed)
        groups = [
            Group(task.student.build(task.seed, plan.recipe.init).to(self.device), (weight,))
            for weight in (plan.recipe.kd_weight if mode == "distilled" else 0.0 for mode in plan.modes)
        ]
        about = json_hash([plan.recipe.record(), self.teacher.hash, task.student.record(), plan.modes, task.seed])
        checkpoint = self.checkpoints / f"subgraph-{about[:16]}.pt"
        results = Lockstep(groups, [stream], [answers], plan.recipe).run(*self.splits, checkpoint)
        checkpoint.unlink(missing_ok=True)
        return results, time.perf_counter() - start


def _set_up(plan: Plan, data: Path | None, device: str, checkpoints: Path) -> _Worker:
    reproducible()
    data_set = images.load(plan.recipe.benchmark, data)
    return _Worker(plan, load_teacher(plan.recipe.teacher), data_set, torch.device(device), checkpoints)


def _select(worker: _Worker, seed: int) -> History:
    return worker.select(seed)


def _train(worker: _Worker, task: Training) -> tuple[list[Trained], float]:
    return worker.train(task)


@dataclass(frozen=True)
class Study:
    """A plan with its seeds, and where what is finished lies. Nothing finished is done again."""

    plan: Plan
    seeds: tuple[int, ...]
    store: Path
    """Database of trainings; selections lie in files beside it."""
    workers: int = 1
    data: Path | None = None
    device: str = "cpu"

    @cached_property
    def settings(self) -> dict[str, Any]:
        teacher = load_teacher(self.plan.recipe.teacher).hash
        return self.plan.settings(teacher, data_hash(self.plan.recipe.benchmark, self.data))

    @cached_property
    def database(self) -> AccuracyStore:
        return AccuracyStore(self.store)

    def _job(self, work: Any) -> Job[Any, Any]:
        return Job(partial(_set_up, self.plan, self.data, self.device, self.store.parent / "checkpoints"), work)

    def selections(self) -> dict[int, History]:
        """Return the selections by seed; each is on disk as soon as it is found."""
        found = {seed: _read(self._file(seed)) for seed in self.seeds}
        missing = [seed for seed, each in found.items() if each is None]
        if missing:
            with Progress(f"gates of {self.plan.benchmark}", len(missing), "selections") as bar:
                for seed, outcome in run(self._job(_select), missing, min(self.workers, len(missing))):
                    if isinstance(outcome, Died):
                        raise BadInput(f"selection with seed {seed}: {outcome.reason}")
                    write_json(self._file(seed), outcome._asdict())
                    found[seed] = outcome
                    bar.advance(1)
        return {seed: each for seed, each in found.items() if each is not None}

    def _file(self, seed: int) -> Path:
        return self.store.parent / "gates" / f"{json_hash(self.settings)[:16]}-{seed}.json"

    def students(self, found: dict[int, History]) -> list[tuple[int, str, Student]]:
        """Return seed, kind and network of the students found and beside them; a network can be of several kinds."""
        rows: list[tuple[int, str, Student]] = []
        for seed, each in found.items():
            student = self.plan.graph.student(each.last)
            rows.append((seed, FOUND, student))
            rng = random.Random(f"random subgraphs {seed}")
            beside = self.plan.graph.rivals(student, self.plan.budget, self.plan.rivals, rng)
            rows += [(seed, kind, other) for kind in RIVALS for other in beside[kind]]
        return rows

    def train(self, tasks: Sequence[Training]) -> None:
        """Train what the store lacks of these, seed after seed."""
        missing = [task for task in dict.fromkeys(tasks) if any(self._row(task, m) is None for m in self.plan.modes)]
        if not missing:
            return
        modes = self.plan.modes
        with Progress(f"students of {self.plan.benchmark}", len(missing) * len(modes), "trainings") as bar:
            for task, outcome in run(self._job(_train), missing, min(self.workers, len(missing))):
                if isinstance(outcome, Died):
                    raise BadInput(f"{task.student.label}, seed {task.seed}: {outcome.reason}")
                results, seconds = outcome
                for mode, result in zip(modes, results, strict=True):
                    numbers = [None if math.isnan(value) else value for value in result[:4]]
                    share = round(seconds / len(modes), 2)
                    row = (NO_CELL, task.seed, *numbers, self.plan.recipe.epochs, share, result.status)
                    self.database.add(self._hash(task.student, mode), [row], [hardware(self.device)])
                bar.advance(len(modes), failed=sum(result.status != "ok" for result in results))

    def _row(self, task: Training, mode: str) -> dict[str, Any] | None:
        rows = self.database.rows(self._hash(task.student, mode))
        found = rows[rows["seed"] == task.seed].to_dict("records")
        return dict(found[0]) if found else None

    def _hash(self, student: Student, mode: str) -> str:
        retraining = self.settings["retraining"]
        described = self.plan.recipe.describe(mode, retraining["teacher_hash"], retraining["data_hash"])
        return recipe_hash({**described, "skeleton": None, "network": student.record()})

    def run(self, output: Path) -> tuple[Path, list[dict[str, Any]]]:
        """Select, train, and write `<benchmark>-<gates>-<budget>.csv`, `.json` and `-gates.csv.gz`."""
        found = self.selections()
        students = self.students(found)
        self.train([Training(seed, student) for seed, _, student in students])
        rows = [self._line(*each) for each in students]
        path = output / f"{self.plan.benchmark}-{self.plan.gates}-{self.plan.budget}.csv"
        computed = {self._hash(student, mode) for _, _, student in students for mode in self.plan.modes}
        about = self.settings | {
            "seeds": list(self.seeds),
            "kept": {str(seed): self.plan.graph.kept(each.last) for seed, each in found.items()},
            "steps": {str(seed): len(each.gates) for seed, each in found.items()},
            "hardware": sorted({name for one in computed for name in self.database.hardware(one)}),
        }
        history = [
            {"seed": seed, "step": step + 1, "lambda": penalty, "loss": loss}
            | dict(zip(self.plan.graph.names, gates, strict=True))
            for seed, each in found.items()
            for step, (gates, penalty, loss) in enumerate(zip(each.gates, each.penalties, each.losses, strict=True))
        ]
        with together(path.with_suffix(".json")):
            write_records(path, rows)
            write_records(path.with_name(f"{path.stem}-gates.csv.gz"), history)
            write_json(path.with_suffix(".json"), about)
        return path, rows

    def _line(self, seed: int, kind: str, student: Student) -> dict[str, Any]:
        counted = {"parameters": student.parameters, "multiply_adds": student.multiply_adds}
        accuracies = {}
        for mode in ("vanilla", "distilled"):
            row = self._row(Training(seed, student), mode) if mode in self.plan.modes else None
            right = row["test"] if row and row["status"] == "ok" else None
            accuracies[mode] = "" if right is None else round(right, 4)
        return {"seed": seed, "kind": kind, "network": student.label, **counted, **accuracies}


def _read(path: Path) -> History | None:
    """The selection that a file keeps, None where there is no file. Raises BadInput for a damaged one."""
    if not path.exists():
        return None
    state = read_json(path, "delete it to select again", History._fields)
    return History(*(state[name] for name in History._fields))
