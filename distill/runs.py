"""Train the cells that an accuracy table still lacks, resumably, and write the table."""

from __future__ import annotations

import io
import platform
import random
import sqlite3
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

import images
from common.database import open_database
from common.errors import BadInput
from common.files import content_hash, write_whole
from common.pool import Died, Job, run
from common.progress import Progress
from distill.recipes import MODES, Recipe, recipe, recipe_hash
from distill.tables import COLUMNS, AccuracyTable, read_table, table_path, write_table
from distill.teachers import Teacher, load_teacher, training_data
from distill.training import HeldOut, Stream, Trained, logits_of, train
from spaces.nb201 import cell_at, cell_set
from spaces.network import CellNetwork
from spaces.supernet import Supernet

ORDER_SEED = 201

_VERSION = 1
_SCHEMA = """
CREATE TABLE accuracy (
    recipe TEXT NOT NULL, cell INTEGER NOT NULL, seed INTEGER NOT NULL, val REAL, test REAL,
    epochs REAL NOT NULL, seconds REAL NOT NULL, status TEXT NOT NULL, PRIMARY KEY (recipe, cell, seed)
) WITHOUT ROWID
"""


class Run(NamedTuple):
    """One training: a cell, a seed, `vanilla` or `distilled`."""

    cell: int
    seed: int
    mode: str


def visiting_order() -> list[int]:
    """All function classes in a seeded permutation: every prefix is an unbiased sample of them."""
    order = list(cell_set("functions"))
    random.Random(ORDER_SEED).shuffle(order)
    return order


class AccuracyStore:
    """Finished trainings by recipe hash, cell and seed; each is on disk when `add` returns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database: sqlite3.Connection = open_database(path, version=_VERSION, schema=_SCHEMA)

    def add(self, recipe: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Rows in the order of `COLUMNS`; what is already there stays."""
        self._database.execute("BEGIN IMMEDIATE")
        with self._database:
            self._database.executemany(
                "INSERT INTO accuracy (recipe, cell, seed, val, test, epochs, seconds, status) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [(recipe, *row) for row in rows],
            )

    def rows(self, recipe: str) -> pd.DataFrame:
        """All rows of a recipe, with `COLUMNS`."""
        query = f"SELECT {', '.join(COLUMNS)} FROM accuracy WHERE recipe = ? ORDER BY cell, seed"
        found = self._database.execute(query, (recipe,)).fetchall()
        return pd.DataFrame(found, columns=list(COLUMNS))


@dataclass
class _Trainer:
    """What a worker keeps between runs: the recipe, the teacher, the held-out splits and the latest streams."""

    recipe: Recipe
    teacher: Teacher
    data: Path | None
    cache: Path

    def __post_init__(self) -> None:
        self.materials = lru_cache(maxsize=4)(self._materials)

    def _materials(self, seed: int) -> tuple[Stream, HeldOut, HeldOut]:
        stream, val, test = training_data(self.recipe, seed, self.data)
        return Stream(stream.images, stream.labels, self._teacher_logits(seed, stream)), val, test

    def _teacher_logits(self, seed: int, stream: Stream) -> torch.Tensor:
        """The teacher reads the images of a seed once, for all students and workers."""
        of_images = content_hash([stream.images.numpy()])
        file = self.cache / f"{self.recipe.benchmark}-{self.teacher.hash[:16]}-{seed}-{of_images[:16]}.npy"
        if not file.exists():
            logits = logits_of(self.teacher.network, stream.images).numpy()
            file.parent.mkdir(parents=True, exist_ok=True)
            buffer = io.BytesIO()
            np.save(buffer, logits, allow_pickle=False)
            write_whole(file, buffer.getvalue())
        return torch.from_numpy(np.load(file, allow_pickle=False))


def _set_up(recipe: Recipe, data: Path | None, cache: Path) -> _Trainer:
    torch.set_num_threads(1)  # sums in one order, whatever the number of workers
    return _Trainer(recipe, load_teacher(recipe.teacher), data, cache)


def _train(trainer: _Trainer, task: Run) -> Trained:
    stream, val, test = trainer.materials(task.seed)
    supernet = Supernet(trainer.recipe.skeleton, task.seed, trainer.recipe.init)  # its own: weights are not shared
    network = CellNetwork(cell_at(task.cell), supernet)
    return train(network, stream, val, test, trainer.recipe, task.mode)


def data_hash(benchmark: str, data: Path | None) -> str:
    """Content hash of the validation and test splits and of one batch of training images."""
    data_set = images.load(benchmark, data)
    parts = [data_set.split("val"), data_set.split("test"), data_set.training_images(0, 96)]
    return content_hash(array for part in parts for array in (part.images, part.labels))


def describe(benchmark: str, data: Path | None) -> dict[str, dict[str, Any]]:
    """The recipe of each mode as it stands in the tables."""
    plan = recipe(benchmark)
    teacher_hash, of_data = load_teacher(plan.teacher).hash, data_hash(benchmark, data)
    return {mode: plan.describe(mode, teacher_hash, of_data) for mode in MODES}


def wanted(seeds: list[int], limit: int | None) -> list[Run]:
    """Every cell of the visiting order (or its first `limit`) with every seed, vanilla and distilled, cell by cell."""
    return [Run(cell, seed, mode) for cell in visiting_order()[:limit] for seed in seeds for mode in MODES]


def run_missing(
    benchmark: str, seeds: list[int], limit: int | None, workers: int, store: Path, output: Path, data: Path | None
) -> dict[str, Path]:
    """Train what is neither in the store nor in the tables under `output`, then write both tables."""
    plan = recipe(benchmark)
    hashes = {mode: recipe_hash(description) for mode, description in describe(benchmark, data).items()}
    database = _with_tables(benchmark, hashes, store, output)
    done = {mode: set(map(tuple, database.rows(hashes[mode])[["cell", "seed"]].to_numpy())) for mode in MODES}
    tasks = [task for task in wanted(seeds, limit) if (task.cell, task.seed) not in done[task.mode]]
    job = Job(partial(_set_up, plan, data, store.parent / "teacher-logits"), _train)
    with Progress(f"distill {benchmark}", len(tasks), "trainings") as bar:
        for task, result in run(job, tasks, workers):
            if isinstance(result, Died):  # no row: the next run tries it again
                print(f"cell {task.cell}, seed {task.seed}, {task.mode}: {result.reason}", file=sys.stderr)
                bar.advance(1, failed=1)
                continue
            val, test = (None, None) if result.status != "ok" else (result.val, result.test)
            row = (task.cell, task.seed, val, test, 1, round(result.seconds, 2), result.status)
            database.add(hashes[task.mode], [row])
            bar.advance(1, failed=result.status != "ok")
    return export(benchmark, store, output, data)


def _with_tables(benchmark: str, hashes: dict[str, str], store: Path, output: Path) -> AccuracyStore:
    """The store, once it has all that stands in the tables under `output`. Raises BadInput for another recipe's."""
    database = AccuracyStore(store)
    for mode, of_recipe in hashes.items():
        path = table_path(benchmark, mode, output)
        if path.exists():
            published = read_table(path)
            if published.hash != of_recipe:
                raise BadInput(f"{path} was made by another recipe: move it away, or name another folder with --output")
            database.add(of_recipe, published.rows[list(COLUMNS)].itertuples(index=False, name=None))
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
            "order_seed": ORDER_SEED,
            "hardware": f"{platform.machine()} CPU, one thread a training",
            "torch": torch.__version__,
        }
        write_table(paths[mode], AccuracyTable(rows, description), provenance)
    return paths
