"""What the tests of the report share: a results folder of a few cells and proxies, made up."""

from __future__ import annotations

import hashlib
import math
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.read.labels import TABLES, load_labels
from analysis.stats import bootstrap
from analysis.studies.leaderboard import lines
from analysis.tables.leaderboard import frame, table
from bench.benchmarks import benchmark
from bench.plan import select
from common.files import gzip_bytes, write_whole
from common.formats import write_csv, write_json, write_text
from distill.tables import AccuracyTable, table_path, write_table
from spaces.nb201.space import NB201

CELLS = select("functions", NB201, 30)
SEEDS = (0, 1)
UNSCORED = CELLS[3]
"""The cell that nwot has no score of."""
HOSTILE = '</script><img src=x onerror="alert(1)"> & <b>bold</b> | "pipe"'

SETS = [
    {"proxy": proxy, "set": which, "n": n, "spearman": rho, "spearman_low": rho - 0.1, "spearman_high": rho + 0.1}
    for proxy, rhos in {"nwot": (0.91, 0.8), "plain": (math.nan, math.nan), "snip": (0.95, 0.7)}.items()
    for which, n, rho in zip(("all", "functions"), (12345, 30), rhos, strict=True)
]
"""A table that has a definition, as its file holds it."""

FIGURE = b'<svg xmlns="http://www.w3.org/2000/svg" width="300" height="200"><circle cx="150" cy="100" r="50"/></svg>'


def accuracies() -> dict[str, pd.DataFrame]:
    """Of the modes, by cell and seed."""
    draw = np.random.default_rng(3)
    vanilla = pd.DataFrame(draw.normal(80, 5, (len(CELLS), len(SEEDS))).round(2), CELLS, SEEDS)
    gain = pd.DataFrame(draw.normal(2, 1, vanilla.shape).round(2), CELLS, SEEDS)
    return {"vanilla": vanilla, "distilled": (vanilla + gain).round(2)}


def scores() -> dict[str, pd.DataFrame]:
    """By proxy those by cell and seed: a good one with a gap, a reversed one over decades, one that is constant."""
    draw, truth = np.random.default_rng(4), accuracies()["distilled"].mean(axis=1)
    noise = pd.DataFrame(draw.normal(0, 2, (len(CELLS), len(SEEDS))), CELLS, SEEDS)
    nwot = noise.add(truth, axis=0)
    nwot.loc[UNSCORED, 1] = math.nan
    return {"nwot": nwot, "snip": 10 ** (-noise.add(truth, axis=0) + 80), "plain": noise * 0 + 1.5}


def small_results(folder: Path) -> Path:
    """Scores of `digits` with labels, tables and a figure, and scores of `cifar10` with nothing beside."""
    shutil.copytree(_made(bootstrap.RESAMPLES).name, folder, dirs_exist_ok=True)
    return folder


@cache
def _made(resamples: int) -> tempfile.TemporaryDirectory[str]:
    """They are made once a process, for as many draws of the bootstrap: their intervals take most of the time."""
    place = tempfile.TemporaryDirectory()
    _make(Path(place.name))
    return place


def _make(folder: Path) -> None:
    for mode, by_seed in accuracies().items():
        rows = by_seed.stack().rename_axis(["cell", "seed"]).rename("test").reset_index()
        rows = rows.assign(val=rows["test"], best=rows["test"], epochs=2.0, seconds=1.0, status="ok")
        recipe = {"mode": mode, "steps": 600, "skeleton": {"channels": 8}, "data_hash": "ab" * 32}
        write_table(
            table_path("digits", mode, folder / "accuracies"),
            AccuracyTable(rows, recipe),
            {"hardware": ["one abacus"], "seeds": list(SEEDS), "cells": len(CELLS)},
        )
    for name in ("digits", "cifar10"):
        _publish(folder / "scores" / name)
    for kind in TABLES:
        labels = load_labels(kind, "digits", folder / "accuracies")
        found = lines(folder / "scores", benchmark("digits"), labels, "functions")
        table(frame(found), f"digits, {kind}: made up.").write(folder / "tables" / f"leaderboard-digits-{kind}")
    write_csv(folder / "tables/sets-digits.csv", pd.DataFrame(SETS))
    write_csv(folder / "tables/study-digits.csv", pd.DataFrame({"what": [HOSTILE, "b"], "number": ["10", ""]}))
    write_text(folder / "tables/other.csv", 'name,count\n"x, y",10\nz,\nw,9\n')
    write_whole(folder / "figures/digits-distilled-ranking.svg", FIGURE)
    write_json(folder / "costs/digits.json", {"torch": "9.9", "device": "abacus"})


def _publish(folder: Path) -> None:
    manifest = {}
    for name, by_seed in scores().items():
        rows = by_seed.stack(future_stack=True).rename_axis(["cell", "seed"]).rename("score").reset_index()
        rows["status"] = np.where(rows["score"].isna(), "nonfinite", "ok")
        rows["reason"] = ""
        data = gzip_bytes(rows.to_csv(index=False).encode())
        write_whole(folder / f"{name}.csv.gz", data)
        record = {"proxy": name, "version": 7, "sees": "function", "fields": {"init": "default"}}
        manifest[f"{name}.csv.gz"] = {
            "proxy": name,
            "rows": len(rows),
            "ok": int(rows["score"].notna().sum()),
            "settings": {str(seed): {"fingerprint": f"{seed}" * 64, "record": record} for seed in SEEDS},
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    write_json(folder / "manifest.json", manifest)
