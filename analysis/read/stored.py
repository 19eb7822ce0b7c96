"""Scores of the user's own store that nobody has published, as `analysis/read/scores.py` reads those that are."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.read.columns import BASELINES
from analysis.read.scores import COLUMNS, scores_of
from bench.benchmarks import Benchmark
from bench.store import ScoreStore, Stored
from common import modules
from common.errors import BadUsage
from proxies import registry


@dataclass(frozen=True)
class OwnScores:
    """What a store has of one proxy: its scores by cell and seed, its settings seed by seed, and the runs that made
    them, as their provenance has it."""

    table: pd.DataFrame
    settings: list[Stored]
    runs: list[dict[str, Any]]


def own_scores(path: Path, setting: Benchmark, published: Collection[str]) -> dict[str, OwnScores]:
    """The scores of a benchmark, under its own teacher, by the proxy's label; of names that are not `published`.

    A store that is not there has none. What no proxy of today's code can be named by costs a line on standard error.
    Raises BadInput for a damaged store.
    """
    if not path.exists():
        return {}
    store = ScoreStore(path, write=False)
    try:
        return dict(_read(store, setting, {*published, *BASELINES}))
    finally:
        store.close()


def _read(store: ScoreStore, setting: Benchmark, known: set[str]) -> Iterator[tuple[str, OwnScores]]:
    labels = {entry["proxy"]: entry["ok"] for entry in store.overview() if entry["benchmark"] == setting.name}
    for label in sorted(label for label, ok in labels.items() if ok and "@" not in label and label not in known):
        try:
            proxy = registry.create(label, modules.in_use())
        except BadUsage as error:
            print(f"note: the scores of {label} in {store.path} are left out: {error}", file=sys.stderr)
            continue
        found = store.scores(setting.name, proxy, setting.teacher.record())
        table = scores_of(
            pd.DataFrame([(row.cell, one.seed, *row[1:]) for one in found for row in one.rows], columns=COLUMNS)
        )
        if table.notna().any(axis=None):
            yield label, OwnScores(table.astype(float), found, store.runs({one.setting for one in found}))
