"""Objectives compared on one pair of teacher and student: from the same weights, on the same images in the same order.

Rows are added seed by seed to `<pair>.csv`, beside a JSON file with everything that decides them; what is there is not
trained again.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

import images
from common.errors import BadInput, BadUsage
from common.files import json_hash, together
from common.formats import read_json, read_records, reading, write_json, write_records
from common.reproducible import reproducible
from distill.process.distpro import Search, Settings, split_streams
from distill.process.objectives import NONE, Processes, Student, describe, objective
from distill.process.pathways import Pathway, Pathways
from distill.process.process import Process
from distill.process.stages import Tapped
from distill.recipes import Recipe, recipe
from distill.runs import data_hash
from distill.teachers import Teacher, hardware, held_out, load_teacher, spec
from distill.training import Group, Lockstep, Trained
from spaces.draw import Draw
from spaces.nb201.cell import cell_at, resolve
from spaces.nb201.network import CellNetwork
from spaces.resnet.network import ResNet, resnet_shape

BASELINE = "kd"
"""What the others are compared with, seed by seed."""
COLUMNS = ("loss", "seed", "val", "test", "best", "status")
DIGITS = 4


@dataclass(frozen=True)
class Pair:
    """A student, a cell or `resnet<depth>`, the teacher's name, and the benchmark whose recipe trains it.

    A cell has the recipe's skeleton, a ResNet as many channels, C, 2 C and 4 C; `epochs` is another horizon than the
    recipe's. Raises BadUsage for an unknown benchmark, student or teacher, and for a teacher of another benchmark.
    """

    benchmark: str
    student: str
    teacher: str = ""
    epochs: int | None = None

    def __post_init__(self) -> None:
        self.network(0)
        plan = self.recipe
        of = spec(plan.teacher.removeprefix("random:")).recipe.benchmark
        if of != plan.benchmark:
            raise BadUsage(f"the teacher '{plan.teacher}' has learned {of}, not {plan.benchmark}")

    @property
    def recipe(self) -> Recipe:
        """The benchmark's, with the pair's teacher and horizon."""
        plan = recipe(self.benchmark)
        return replace(plan, teacher=self.teacher or plan.teacher, epochs=self.epochs or plan.epochs)

    @property
    def name(self) -> str:
        """What files of the pair are called."""
        network = self.network(0)
        student = str(network.cell.index) if isinstance(network, CellNetwork) else self.student
        epochs = [f"{self.epochs}-epochs"] if self.epochs not in (None, recipe(self.benchmark).epochs) else []
        return "-".join([self.benchmark, student, "from", self.recipe.teacher.replace(":", "-"), *epochs])

    def network(self, seed: int) -> nn.Module:
        """The student of a seed at its initialisation."""
        plan = self.recipe
        if self.student.startswith("resnet"):
            depth = re.fullmatch(r"resnet(\d{1,4})", self.student, re.ASCII)
            shape = resnet_shape(int(depth[1]) if depth else 0, plan.skeleton.classes)
            channels = plan.skeleton.channels
            shape = replace(shape, widths=(channels, 2 * channels, 4 * channels), stem=channels)
            return ResNet(shape, Draw(seed, plan.init))
        return CellNetwork(cell_at(resolve(self.student)), plan.skeleton, Draw(seed, plan.init), plan.sees)

    def settings(self, teacher: Teacher, data: Path | None) -> dict[str, Any]:
        """What decides the numbers of the pair, whatever is minimised."""
        plan = self.recipe
        fields = plan.record()
        del fields["kd_weight"], fields["temperature"]
        network = self.network(0)
        student = str(network.cell) if isinstance(network, CellNetwork) else self.student
        of_data = data_hash(plan.benchmark, data)
        return {"student": student, "recipe": fields, "teacher_hash": teacher.hash, "data_hash": of_data}


class Row(NamedTuple):
    """One training, in the order of `COLUMNS`; accuracies as in `Trained`."""

    loss: str
    seed: int
    val: float
    test: float
    best: float
    status: str


class Summary(NamedTuple):
    """A loss over its `n` seeds: mean test accuracy in percent, mean difference from KD on the seeds that both have.

    `low` and `high` are 95 % intervals by Student's t, NaN for one seed.
    """

    loss: str
    n: int
    mean: float
    low: float
    high: float
    over_kd: float
    over_kd_low: float
    over_kd_high: float
    failed: int


def compare(
    pair: Pair,
    losses: Sequence[str],
    seeds: Sequence[int],
    output: Path,
    scratch: Path,
    processes: Processes = NONE,
    data: Path | None = None,
    device: str = "cpu",
    watch: Callable[[int], None] | None = None,
    against: str = BASELINE,
) -> list[Summary]:
    """Train what the files of the pair under `output` lack, write them, and give the summaries of all there is.

    `watch` is told how many steps are done, of `seeds` after one another. Unfinished trainings are kept under
    `scratch`. Raises BadInput where the files are of other settings.
    """
    reproducible()
    teacher = load_teacher(pair.recipe.teacher)
    table, record = output / f"{pair.name}.csv", output / f"{pair.name}.json"
    settings = pair.settings(teacher, data)
    described = {name: describe(name, processes) for name in losses}
    rows = _stored(table, record, settings, described)
    made_by = {hardware(device)} | set(_record(record).get("hardware", []))
    known = _record(record).get("losses", {}) | described
    data_set = images.load(pair.recipe.benchmark, data)
    for place, seed in enumerate(seeds):
        before = place * pair.recipe.steps
        if watch is not None:
            watch(before)
        there = {row.loss for row in rows if row.seed == seed}
        missing = [name for name in losses if name not in there]
        if not missing:
            continue
        about = json_hash([settings, {name: described[name] for name in missing}, seed])[:16]
        checkpoint = scratch / "checkpoints" / f"compare-{pair.name}-{about}.pt"
        tell = None if watch is None else partial(_tell, watch, before)
        trained = train(pair, teacher, missing, seed, data_set, processes, device, checkpoint, tell)
        rows += [_row(name, seed, result) for name, result in zip(missing, trained, strict=True)]
        present = {row.loss for row in rows}
        with together():  # the record first: what it says of rows that are not there yet is said again
            write_json(
                record,
                {
                    "settings": settings,
                    "losses": {name: known[name] for name in known if name in present},
                    "hardware": sorted(made_by),
                    "summary": [_plain(summary) for summary in summaries(rows)],
                },
            )
            write_records(table, _records(rows))
        checkpoint.unlink(missing_ok=True)
    if watch is not None:
        watch(len(seeds) * pair.recipe.steps)
    return summaries(rows, against)


def train(
    pair: Pair,
    teacher: Teacher,
    losses: Sequence[str],
    seed: int,
    data_set: images.DataSet,
    processes: Processes = NONE,
    device: str = "cpu",
    checkpoint: Path | None = None,
    watch: Callable[[int], None] | None = None,
) -> list[Trained]:
    """One student for each loss, all of one seed in lock-step with one living teacher."""
    plan = pair.recipe
    stream = data_set.stream(seed, plan.steps, plan.batch, device, plan.images)
    tapped = Tapped(teacher.network.to(device))
    groups = []
    for name in losses:
        network = pair.network(seed).to(device)
        blank = stream.batch(0)[0][:2]
        what = objective(name, tapped.look(blank), Tapped(network).look(blank), seed, processes, device)
        groups.append(Group(Student(network, what), (0.0,), what))
    val, test = (held_out(data_set, split, device) for split in ("val", "test"))
    return Lockstep(groups, [stream], [], plan, tapped.look).run(val, test, checkpoint, watch=watch)


def learn(
    pair: Pair,
    pathways: Sequence[Pathway],
    settings: Settings,
    seed: int = 0,
    data: Path | None = None,
    device: str = "cpu",
    checkpoint: Path | None = None,
    every: float = 60.0,
    watch: Callable[[int], None] | None = None,
) -> Process:
    """The process that DistPro learns on a pair, on four fifths of its images and judged by the rest."""
    search = begin(pair, pathways, settings, seed, data, device)
    about = pair.settings(load_teacher(pair.recipe.teacher), data)
    made_by = about | {"search": asdict(settings), "seed": seed, "hardware": hardware(device)}
    learned = search.run(checkpoint, every, watch, made_by)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return learned


def begin(
    pair: Pair, pathways: Sequence[Pathway], settings: Settings, seed: int, data: Path | None, device: str
) -> Search:
    """A search at its first step; in float32 whatever the recipe's precision. Raises BadUsage for a recipe that does
    not train on all images.
    """
    if pair.recipe.images:
        raise BadUsage(f"--benchmark {pair.benchmark}: a process is learned on all training images, leave out images=")
    reproducible()
    plan = replace(pair.recipe, precision="float32")
    data_set = images.load(plan.benchmark, data)
    train_images, outer = split_streams(data_set, seed, plan.steps, plan.batch, device)
    teacher, student = Tapped(load_teacher(plan.teacher).network.to(device)), Tapped(pair.network(seed).to(device))
    blank = train_images.batch(0)[0][:2]
    generator = torch.Generator().manual_seed(seed)
    between = Pathways(pathways, teacher.look(blank), student.look(blank), generator).to(device)
    return Search(student, teacher, between, train_images, outer, plan, settings)


def process_name(pair: Pair, settings: Settings, seed: int) -> str:
    """What the file of a process that was learned on a pair is called, less its ending."""
    return f"{pair.name}-{settings.normalisation}-{seed}"


def summaries(rows: Sequence[Row], against: str = BASELINE) -> list[Summary]:
    """One for each loss, best mean first; `over_kd` is over the loss `against`, where that is another."""
    tests: dict[str, dict[int, float]] = {}
    failed: dict[str, int] = {}
    for row in rows:
        tests.setdefault(row.loss, {})
        failed.setdefault(row.loss, 0)
        if row.status == "ok":
            tests[row.loss][row.seed] = row.test
        else:
            failed[row.loss] += 1
    of_baseline = tests.get(against, {})
    found = []
    for name, of_loss in tests.items():
        tests_of = [of_loss[seed] for seed in sorted(of_loss)]
        differences = [of_loss[seed] - of_baseline[seed] for seed in sorted(of_loss.keys() & of_baseline.keys())]
        found.append(Summary(name, len(tests_of), *interval(tests_of), *interval(differences), failed[name]))
    return sorted(found, key=lambda summary: (math.isnan(summary.mean), -summary.mean, summary.loss))


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and its 95 % interval by Student's t: mean -+ t sd / sqrt(n), NaN for what has too few values."""
    from scipy.stats import t

    n = len(values)
    if n == 0:
        return math.nan, math.nan, math.nan
    mean = math.fsum(values) / n
    if n == 1:
        return mean, math.nan, math.nan
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(t.ppf(0.975, n - 1)) * deviation / math.sqrt(n)
    return mean, mean - half, mean + half


def _tell(watch: Callable[[int], None], before: int, step: int) -> None:
    watch(before + step)


def _record(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    return read_json(path, "restore it, or move it and its table away", ("settings", "losses"))


def _stored(table: Path, record: Path, settings: dict[str, Any], described: dict[str, Any]) -> list[Row]:
    """The rows of a pair so far. Raises BadInput where they are damaged or of other settings."""
    rows = read_rows(table)
    if not rows:
        return []
    before = _record(record)
    if not before:
        raise BadInput(f"{table} has no {record.name} beside it: restore it, or move the table away")
    # through JSON, which knows no tuples
    if before["settings"] != json.loads(json.dumps(settings)):
        raise BadInput(f"{table} was made with other settings: move it away, or name another folder with --output")
    for name, value in ((row.loss, described[row.loss]) for row in rows if row.loss in described):
        if before["losses"].get(name, value) != value:
            raise BadInput(f"the rows of '{name}' in {table} are of another process or weights: move the table away")
    return rows


def read_rows(table: Path) -> list[Row]:
    """The rows of a table, none where there is no table yet. Raises BadInput for a damaged one."""
    if not table.exists():
        return []
    away = "restore it or move it away"
    rows = read_records(table, away)
    with reading(table, away):
        return [
            Row(
                row["loss"],
                int(row["seed"]),
                _number(row["val"]),
                _number(row["test"]),
                _number(row["best"]),
                row["status"],
            )
            for row in rows
        ]


def _row(loss: str, seed: int, result: Trained) -> Row:
    """As the file will have it: means do not depend on what was trained when."""
    return Row(
        loss, seed, round(result.val, DIGITS), round(result.test, DIGITS), round(result.best, DIGITS), result.status
    )


def _number(text: str) -> float:
    return float(text) if text else math.nan


def _records(rows: list[Row]) -> list[dict[str, Any]]:
    """The rows as the file has them: by loss in the order in which they were first asked for, then seed."""
    order = list(dict.fromkeys(row.loss for row in rows))
    rows.sort(key=lambda row: (order.index(row.loss), row.seed))
    return [
        {
            name: ("" if math.isnan(value) else f"{value:.{DIGITS}f}") if isinstance(value, float) else value
            for name, value in row._asdict().items()
        }
        for row in rows
    ]


def _plain(summary: Summary) -> dict[str, Any]:
    """As JSON has it: rounded, and null for NaN."""
    return {
        key: (None if math.isnan(value) else round(value, DIGITS)) if isinstance(value, float) else value
        for key, value in summary._asdict().items()
    }
