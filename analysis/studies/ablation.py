"""DisWOT's own ablations again: each term by each distance under each initialisation, beside the paper's numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.read.columns import label_cells
from analysis.read.labels import Labels
from analysis.read.reported import DISWOT_ABLATION, Reported
from analysis.read.scores import published
from analysis.stats.comparison import spearman
from analysis.studies.correlate import judge
from bench.benchmarks import Benchmark
from proxies.diswot import PUBLISHED
from proxies.registry import create
from spaces.inits import INITS
from spaces.space import Space


def _matrices(proxy: str) -> dict[str, str]:
    return {f"matrix, {variant}": f"{proxy}:variant={variant}" for variant in PUBLISHED}


DISTANCES = {
    "M_s": {"FitNet": "fitnet", **_matrices("diswot_semantic")},
    "M_r": {"RKD": "rkd", **_matrices("diswot_relation")},
    "M_s + M_r": _matrices("diswot"),
}
"""Term, distance, proxy: a loss as another distance for the same term, and the similarity matrix in each variant."""


@dataclass(frozen=True)
class Row:
    """One term by one distance under one initialisation.

    `spearman` is of the mean over the seeds, `seeds_mean` and `seeds_sd` are over Spearman of the seeds one by one.
    `failed` counts labelled cells that were tried and have no score in some seed, `n` the cells judged: those that all
    rows score, because the cells move a correlation more than most distances differ.
    """

    term: str
    distance: str
    init: str
    proxy: str
    reported: float
    reported_spread: float
    spearman: float
    low: float
    high: float
    seeds_mean: float
    seeds_sd: float
    seeds: int
    n: int
    failed: int


def ablation(folder: Path, setting: Benchmark, labels: Labels, which: str) -> list[Row]:
    """Judge what is published of the ablation, in the order of `DISTANCES`; nothing where no variant is."""
    cases = {
        create(f"{proxy}:init={init}").label: (term, distance, init)
        for term, distances in DISTANCES.items()
        for distance, proxy in distances.items()
        for init in (INITS if "released" not in proxy else ("gaussian",))  # which it is by definition
    }
    scores = published(folder, setting.name, cases.__contains__)
    if not any(":" in name for name in scores):
        return []
    labelled = label_cells(labels, which)
    failed = {
        name: int(table[table.index.isin(labelled.index)].isna().any(axis=1).sum()) for name, table in scores.items()
    }
    for table in scores.values():
        labelled = labelled[labelled.index.isin(table.dropna().index)]
    return [
        _row(case, name, scores[name], labelled, failed[name], setting.space)
        for name, case in cases.items()
        if name in scores
    ]


def _row(
    case: tuple[str, str, str], name: str, scores: pd.DataFrame, labelled: pd.Series, failed: int, space: Space
) -> Row:
    found = judge(name, [], scores.mean(axis=1, skipna=False), labelled, space).correlation
    of_seeds = [spearman(scores.loc[labelled.index, seed].to_numpy(), labelled.to_numpy()) for seed in scores]
    reported = DISWOT_ABLATION.get(name, Reported(math.nan))
    return Row(
        *case,
        proxy=name,
        reported=reported.spearman,
        reported_spread=reported.spread,
        spearman=found.spearman,
        low=found.spearman_low,
        high=found.spearman_high,
        seeds_mean=float(np.mean(of_seeds)),
        seeds_sd=float(np.std(of_seeds, ddof=1)) if len(of_seeds) > 1 else math.nan,
        seeds=len(of_seeds),
        n=found.n,
        failed=failed,
    )
