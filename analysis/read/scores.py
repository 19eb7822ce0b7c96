"""Published scores, `results/scores/`, and what else is judged beside them: read without the store that made them."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.read.columns import BASELINES, combined, counted
from bench.benchmarks import Benchmark
from bench.benchmarks import benchmark as named
from bench.checks.rows import STATUSES, wrong_row
from bench.plan import select_of
from bench.published import AGAIN, read_manifest
from common import results
from common.errors import BadInput
from common.formats import reading, unzipped, whole
from common.shipped import here_or_shipped
from proxies import registry

FOLDER = results.SCORES
COLUMNS = ("cell", "seed", "score", "status", "reason")


def is_default(name: str) -> bool:
    """Whether scores are of a proxy as it comes, under the benchmark's own teacher: `proxy`, and nothing behind it.

    These alone are ranked, drawn and combined. `proxy:field=value` and `proxy@teacher` are published for the studies
    of variants and teachers, which ask for them; beside the others they would be one idea counted many times.
    """
    return not {":", "@"} & set(name)


def published(folder: Path, benchmark: str, chosen: Callable[[str], bool] = is_default) -> dict[str, pd.DataFrame]:
    """Score by cell (rows) and seed (columns) of every published name that is `chosen`; NaN is none.

    Of cells tried with every seed. Raises BadInput.
    """
    return {name: _by_seed(*file) for name, file in _files(folder, benchmark, chosen).items()}


def published_rows(folder: Path, benchmark: str, chosen: Callable[[str], bool]) -> dict[str, pd.DataFrame]:
    """The rows (`COLUMNS`) of every published name that is `chosen`.

    Raises BadInput for a file that is not the one its manifest lists, and for what no run writes.
    """
    return {name: _rows(*file) for name, file in _files(folder, benchmark, chosen).items()}


def _files(folder: Path, benchmark: str, chosen: Callable[[str], bool]) -> dict[str, tuple[Path, str, int]]:
    """By name the file, the hash of its content that the manifest lists, and how many cells there are to score."""
    found, place, cells = {}, here_or_shipped(folder / benchmark), len(named(benchmark).space)
    for file, entry in read_manifest(place).items():
        if chosen(name := entry["proxy"]):
            if "sha256" not in entry:
                raise BadInput(f"{place / 'manifest.json'} does not say what {file} holds: {AGAIN}")
            found[name] = place / file, str(entry["sha256"]), cells
    return found


@cache  # every table of a benchmark reads them all; nobody writes into what is handed out
def _rows(path: Path, sha256: str, cells: int) -> pd.DataFrame:
    """The rows of a file that has this content, of a space of so many cells. Raises BadInput."""
    with reading(path, AGAIN):
        data = whole(path)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ValueError("it is not the file that its manifest lists")
        integers = {"cell": "int64", "seed": "int64"}
        rows = pd.read_csv(io.BytesIO(unzipped(data)), dtype=integers, keep_default_na=False, na_values={"score": [""]})
        if rows.duplicated(["cell", "seed"]).any():
            raise ValueError("a cell has two rows of one seed")
        rows = rows.astype({"score": float, "status": str, "reason": str})[[*COLUMNS]]
        ok = rows["status"] == "ok"
        scored = np.isfinite(rows["score"]).where(ok, rows["score"].isna())
        sound = rows["cell"].between(0, cells - 1) & (rows["seed"] >= 0) & rows["status"].isin(STATUSES) & scored
        for line, row in rows[~sound].iterrows():
            score = None if math.isnan(row["score"]) else row["score"]
            wrong = wrong_row(row["cell"], row["seed"], score, row["status"], row["reason"], cells)
            raise ValueError(f"line {int(str(line)) + 2}: {wrong}")
        return rows


@cache
def _by_seed(path: Path, sha256: str, cells: int) -> pd.DataFrame:
    """`scores_of` the rows of a file that has this content. Raises BadInput."""
    return scores_of(_rows(path, sha256, cells))


def scores_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Score by cell and seed, of cells tried with every seed; NaN for those that have none."""
    tried = rows.pivot(index="cell", columns="seed", values="status").notna().all(axis=1)
    return rows.pivot(index="cell", columns="seed", values="score")[tried]


def judged_columns(tables: Mapping[str, pd.DataFrame], setting: Benchmark, which: str) -> dict[str, pd.Series]:
    """By name the scores, means over the seeds, of the cells of a set: what is published, populations of which all
    parts are, and the baselines from closed forms. NaN where a seed has no score."""
    means = {label: table.mean(axis=1, skipna=False) for label, table in tables.items()}
    cells = sorted(select_of(which, setting))
    found = {label: mean[mean.index.isin(cells)] for label, mean in means.items()}
    for population in (cls() for cls in registry.populations().values()):
        if {part.label for part in registry.parts(population)} <= set(means):
            parts = {part.label: means[part.label] for part in registry.parts(population)}
            found[population.label] = combined(population, parts, cells)
    for name in BASELINES:
        if name not in means:
            found[name] = counted(name, setting, cells)
    return found
