"""Train the cells that an accuracy table still lacks, resumably, and write the table."""

from __future__ import annotations

import io
import math
import random
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

import images
from common.errors import BadInput
from common.files import content_hash, json_hash, write_whole
from common.pool import Died, Job, run
from common.progress import Progress
from common.reproducible import reproducible
from common.shipped import here_or_shipped
from distill.recipe_name import RecipeName
from distill.recipes import BLOCK, MODES, Recipe, recipe, recipe_hash
from distill.store import AccuracyStore
from distill.tables import COLUMNS, AccuracyTable, read_table, table_path, write_table
from distill.teachers import Teacher, check_teacher, hardware, held_out, load_teacher
from distill.training import Answers, Group, Lockstep, Trained, logits_of, remembered
from images import DataSet
from images.stream import Stream
from spaces.draw import Draw
from spaces.nb201.cell import KERNEL, NONE, Cell, cell_at
from spaces.nb201.equivalence import members, representatives
from spaces.nb201.network import CellNetwork
from spaces.nb201.sets import cell_set
from spaces.stack import Stack

ORDER_SEED = 201


class Run(NamedTuple):
    """One run: a cell with the seeds of a block, each in these modes, as one network."""

    cell: int
    block: int
    modes: tuple[str, ...] = MODES
    size: int = BLOCK
    """Of the block."""

    @property
    def seeds(self) -> range:
        """size block, size block + 1, ..."""
        return range(self.size * self.block, self.size * (self.block + 1))

    @property
    def students(self) -> int:
        """How many are trained."""
        return self.size * len(self.modes)


class Done(NamedTuple):
    """The results of a run by seed and mode, and the seconds it took for all of them."""

    results: dict[tuple[int, str], Trained]
    seconds: float


def visiting_order(sees: str = "function") -> list[int]:
    """All function classes in a seeded permutation: every prefix is an unbiased sample of them.

    With `executed`, of each class that has one, in the same order, a member with a convolution that is fed by zeros and
    reaches the output: in training such a convolution is a learned constant, which the function does not have.
    """
    rng = random.Random(ORDER_SEED)
    order = list(cell_set("functions"))
    rng.shuffle(order)
    if sees == "function":
        return order
    differing = [[cell for cell in members("function")[number] if has_fed_zeros(cell_at(cell))] for number in order]
    return [rng.choice(found) for found in differing if found]


def has_fed_zeros(cell: Cell) -> bool:
    """Whether a convolution of the cell reads a node that nothing reaches, and itself reaches the output."""
    used = [edge for edge in cell.edges() if edge.operation != NONE]
    reached, reaching = {0}, {3}
    for edge in used:  # targets ascend
        if edge.source in reached:
            reached.add(edge.target)
    for edge in reversed(used):
        if edge.target in reaching:
            reaching.add(edge.source)
    return any(edge.operation in KERNEL and edge.source not in reached and edge.target in reaching for edge in used)


@dataclass
class _Trainer:
    """What a worker keeps between runs: the recipe, the teacher, the held-out splits and the latest streams."""

    recipe: Recipe
    teacher: Teacher
    data_set: DataSet
    device: torch.device
    scratch: Path
    """Folder of the teacher's answers and of checkpoints."""

    def __post_init__(self) -> None:
        self.material = lru_cache(maxsize=4)(self._material)
        self.val, self.test = (held_out(self.data_set, name, self.device) for name in ("val", "test"))

    def _material(self, seed: int) -> tuple[Stream, Answers]:
        recipe = self.recipe
        stream = self.data_set.stream(seed, recipe.steps, recipe.batch, self.device, recipe.images)
        return stream, remembered(self._answers(seed, stream), self.recipe.batch)

    def _answers(self, seed: int, stream: Stream) -> torch.Tensor:
        """The teacher reads the images of a seed once, for all students and workers."""
        # read in batches of the stream's size, on which the last digits may depend
        about = f"{self.teacher.hash[:16]}-{seed}-{stream.hash[:16]}-{stream.batch_size}"
        name = f"{self.recipe.benchmark}-{about}.npy"
        file = self.scratch / "teacher-logits" / name
        if not file.exists():
            network = self.teacher.network.to(self.device)
            logits = [logits_of(network, stream.batch(step)[0]).cpu() for step in range(stream.steps)]
            buffer = io.BytesIO()
            np.save(buffer, torch.cat(logits).numpy(), allow_pickle=False)
            write_whole(file, buffer.getvalue())
        return torch.from_numpy(np.load(file, allow_pickle=False)).to(self.device)

    def train(self, task: Run) -> Done:
        """The students of a run, side by side as one network."""
        # a core's own seconds: what other work on the machine takes is no price of a training
        clock = time.perf_counter if self.device.type == "cuda" else time.process_time
        start = clock()
        recipe, seeds = self.recipe, task.seeds
        streams, answers = zip(*map(self.material, seeds), strict=True)
        # a draw for each student: what is trained is shared with nobody
        draws = [Draw(seed, recipe.init) for seed in seeds for _ in task.modes]
        stack = Stack(draws, len(seeds))
        network = CellNetwork(cell_at(task.cell), recipe.skeleton, stack, recipe.sees).to(self.device)
        weights = {"vanilla": 0.0, "distilled": recipe.kd_weight}
        group = Group(network, tuple(weights[mode] for _ in seeds for mode in task.modes))
        about = json_hash([recipe.record(), self.teacher.hash, *([task.modes] if recipe.apart else [])])[:16]
        checkpoint = self.scratch / "checkpoints" / f"{recipe.benchmark}-{about}-{task.cell}-{task.block}.pt"
        results = Lockstep([group], streams, answers, recipe).run(self.val, self.test, checkpoint)
        checkpoint.unlink(missing_ok=True)
        students = [(seed, mode) for seed in seeds for mode in task.modes]
        return Done(dict(zip(students, results, strict=True)), clock() - start)


def _set_up(recipe: Recipe, data: Path | None, device: str, scratch: Path) -> _Trainer:
    reproducible()
    data_set = images.load(recipe.benchmark, data)
    return _Trainer(recipe, load_teacher(recipe.teacher), data_set, torch.device(device), scratch)


def _ask(trainer: _Trainer, seed: int) -> None:
    trainer.material(seed)


def _train(trainer: _Trainer, task: Run) -> Done:
    return trainer.train(task)


def data_hash(benchmark: str, data: Path | None) -> str:
    """Content hash of the validation and test splits and of one batch of training images."""
    data_set = images.load(benchmark, data)
    parts = [data_set.split("val"), data_set.split("test"), data_set.training_images(0, 96)]
    return content_hash(array for part in parts for array in (part.images, part.labels))


def describe(benchmark: str, data: Path | None) -> dict[str, dict[str, Any]]:
    """The recipe of each mode as it stands in the tables."""
    plan = recipe(benchmark)
    check_teacher(plan)
    teacher_hash, of_data = load_teacher(plan.teacher).hash, data_hash(plan.benchmark, data)
    sample = {"sample": "chosen cells"} if RecipeName.parse(benchmark).chosen else {}
    return {mode: plan.describe(mode, teacher_hash, of_data) | sample for mode in plan.modes}


def wanted(seeds: list[int], cells: Iterable[int], plan: Recipe) -> list[Run]:
    """Every cell with every block of the recipe's that has one of these seeds, one run for each network."""
    blocks = sorted({seed // plan.block for seed in seeds})
    return [Run(cell, block, modes, plan.block) for cell in cells for block in blocks for modes in plan.stacks]


def to_train(benchmark: str, limit: int | None, chosen: Sequence[int] | None, output: Path) -> list[int]:
    """The cells of a run: the first `limit` of the visiting order, or what stands for those that were `chosen` and are
    not in the tables of the sample.
    """
    sees, modes = recipe(benchmark).sees, recipe(benchmark).modes
    if chosen is None:
        return visiting_order(sees)[:limit]
    sampled: set[int] = set()
    if table_path(sample := str(RecipeName.parse(benchmark).of_sample), modes[0], output).exists():
        sampled = set.intersection(*(set(read_table(table_path(sample, mode, output)).rows["cell"]) for mode in modes))
    stands_for = representatives("function") if sees == "function" else range(len(representatives("cell")))
    return sorted({stands_for[cell] for cell in chosen} - sampled)[:limit]


def run_missing(
    benchmark: str,
    seeds: list[int],
    limit: int | None,
    workers: int,
    store: Path,
    output: Path,
    data: Path | None,
    device: str = "cpu",
    chosen: Sequence[int] | None = None,
) -> dict[str, Path]:
    """Train what is neither in the store nor in the tables under `output`, then write the tables.

    Cells that were `chosen` go into tables of their own, `<benchmark>-chosen`, less those that the sample has. Raises
    BadInput where it has them all.
    """
    if chosen is not None:
        benchmark = str(RecipeName.parse(benchmark).of_chosen)
    cells = to_train(benchmark, limit, chosen, output)
    if not cells:
        sample = RecipeName.parse(benchmark).of_sample
        raise BadInput(f"all chosen cells are in the tables of {sample}: nothing to train")
    plan = recipe(benchmark)
    hashes = {mode: recipe_hash(description) for mode, description in describe(benchmark, data).items()}
    database = _with_tables(benchmark, hashes, store, output)
    tasks = _missing(database, hashes, wanted(seeds, cells, plan))
    set_up = partial(_set_up, plan, data, device, store.parent)
    _ask_teacher(set_up, sorted({seed for task in tasks for seed in task.seeds}), workers)
    with Progress(f"distill {benchmark}", sum(task.students for task in tasks), "trainings") as bar:
        for task, outcome in run(Job(set_up, _train), tasks, workers):
            if isinstance(outcome, Died):  # no row: the next run tries it again
                print(f"cell {task.cell}, seeds {task.seeds[0]}-{task.seeds[-1]}: {outcome.reason}", file=sys.stderr)
                bar.advance(task.students, failed=task.students)
                continue
            for mode in task.modes:
                database.add(hashes[mode], _rows(task, outcome, mode, plan.epochs), [hardware(device)])
            bar.advance(task.students, failed=sum(result.status != "ok" for result in outcome.results.values()))
    return export(benchmark, store, output, data)


def _missing(database: AccuracyStore, recipes: dict[str, str], tasks: list[Run]) -> list[Run]:
    """The tasks of which a training is not in the store, whose recipes' hashes are given by mode."""
    done = {
        mode: set(database.rows(of_recipe)[["cell", "seed"]].itertuples(index=False, name=None))
        for mode, of_recipe in recipes.items()
    }
    return [
        task for task in tasks if not all((task.cell, seed) in done[mode] for mode in task.modes for seed in task.seeds)
    ]


def _ask_teacher(set_up: Callable[[], _Trainer], seeds: list[int], workers: int) -> None:
    """Have the teacher's answers to each seed once on disk, where workers would otherwise all ask for the same."""
    if seeds:
        with Progress("teacher", len(seeds), "seeds") as bar:
            for _ in run(Job(set_up, _ask), seeds, min(workers, len(seeds))):
                bar.advance(1)


def _rows(task: Run, outcome: Done, mode: str, epochs: int) -> list[tuple[Any, ...]]:
    """In the order of `COLUMNS`; a training that diverged has no accuracies. Seconds are a student's share."""
    seconds = round(outcome.seconds / len(outcome.results), 2)
    results = [outcome.results[seed, mode] for seed in task.seeds]
    return [
        (
            task.cell,
            seed,
            *(None if math.isnan(value) else value for value in result[:4]),
            epochs,
            seconds,
            result.status,
        )
        for seed, result in zip(task.seeds, results, strict=True)
    ]


def _written(benchmark: str, hashes: dict[str, str], output: Path) -> dict[str, AccuracyTable]:
    """The tables under `output` by mode, or those shipped for that place, which would be out of sight behind one there.

    Raises BadInput for one of another recipe; of those shipped it is passed over.
    """
    found = {}
    for mode, of_recipe in hashes.items():
        path = table_path(benchmark, mode, output)
        if not here_or_shipped(path).exists():
            continue
        table = read_table(path)
        if table.hash == of_recipe:
            found[mode] = table
        elif path.exists():
            raise BadInput(f"{path} was made by another recipe: move it away, or name another folder with --output")
    return found


def _with_tables(benchmark: str, hashes: dict[str, str], store: Path, output: Path) -> AccuracyStore:
    """The store, once it has all that stands in the tables under `output`. Raises BadInput for another recipe's."""
    written, database = _written(benchmark, hashes, output), AccuracyStore(store)
    for mode, table in written.items():
        database.add(hashes[mode], table.rows[list(COLUMNS)].itertuples(index=False, name=None), table.hardware)
    return database


def export(benchmark: str, store: Path, output: Path, data: Path | None) -> dict[str, Path]:
    """Write the tables of a benchmark from the store, keeping what stands in them; returns their paths by mode."""
    descriptions = describe(benchmark, data)
    hashes = {mode: recipe_hash(description) for mode, description in descriptions.items()}
    database = _with_tables(benchmark, hashes, store, output)
    paths = {}
    for mode, description in descriptions.items():
        rows = database.rows(hashes[mode])
        if rows.empty:
            raise BadInput(f"{store} has no {mode} trainings of {benchmark}: `python -m distill run` makes them")
        paths[mode] = table_path(benchmark, mode, output)
        provenance = {
            "benchmark": benchmark,
            "mode": mode,
            "cells": int(rows["cell"].nunique()),
            "seeds": sorted(map(int, rows["seed"].unique())),
            **({} if RecipeName.parse(benchmark).chosen else {"order_seed": ORDER_SEED}),
            "hardware": database.hardware(hashes[mode]),
        }
        write_table(paths[mode], AccuracyTable(rows, description), provenance)
    return paths


def merge(benchmark: str, others: list[Path], store: Path, output: Path, data: Path | None) -> dict[str, Path]:
    """Add what other stores have of the present recipes, from another machine say, and write both tables.

    Where two have a training of the same cell and seed, the store's own stays. Raises BadInput for a file that is no
    store, or has nothing of these recipes; nothing is written then.
    """
    hashes = {mode: recipe_hash(description) for mode, description in describe(benchmark, data).items()}
    opened = {path: AccuracyStore(path, write=False) for path in others}
    for path, other in opened.items():
        if all(other.rows(of_recipe).empty for of_recipe in hashes.values()):
            raise BadInput(f"{path} has no trainings of the present recipes of {benchmark}: is it of another version?")
    database = AccuracyStore(store)
    for other in opened.values():
        for of_recipe in hashes.values():
            rows = other.rows(of_recipe).itertuples(index=False, name=None)
            database.add(of_recipe, rows, other.hardware(of_recipe))
    return export(benchmark, store, output, data)


def status(benchmark: str, store: Path, output: Path, data: Path | None) -> list[dict[str, Any]]:
    """For each mode: the cells with all seeds that any cell has, trainings, and how many of them failed."""
    hashes = {mode: recipe_hash(description) for mode, description in describe(benchmark, data).items()}
    written = _written(benchmark, hashes, output)
    database = AccuracyStore(store, write=False) if store.exists() else None
    entries = []
    for mode, of_recipe in hashes.items():
        parts = [] if database is None else [database.rows(of_recipe)]
        parts += [written[mode].rows[list(COLUMNS)]] if mode in written else []
        found = [part for part in parts if not part.empty]
        rows = pd.concat(found).drop_duplicates(["cell", "seed"]) if found else pd.DataFrame(columns=list(COLUMNS))
        seeds = sorted(map(int, rows["seed"].unique()))
        chosen = rows["cell"] if RecipeName.parse(benchmark).chosen else None
        complete = int((rows.groupby("cell").size() == len(seeds)).sum())
        failed = int((rows["status"] != "ok").sum())
        entries.append(
            {
                "benchmark": benchmark,
                "mode": mode,
                "seeds": seeds,
                "cells": complete,
                "wanted": len(to_train(benchmark, None, chosen, output)),
                "trainings": len(rows),
                "failed": failed,
            }
        )
    return entries
