"""Which recipe makes labels worth their cost: what each says of itself, and how far it agrees with published ones.

A recipe is judged by its accuracy tables (`distill study` makes them), on the functions that all seeds have. Intervals
are 95 % bootstraps over functions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from scipy import stats

from analysis.read.labels import read_rows
from analysis.stats.correlation import correlate
from analysis.stats.reliability import reliability, spearman_brown
from analysis.stats.seeds import agreement_interval
from common.errors import BadInput
from distill.recipes import MODES, STUDIED, recipe
from distill.tables import place_of, read_table, table_path
from spaces.nb201.space import NB201

KINDS = (*MODES, "gain", "log_likelihood")
"""Labels whose reliability is told: accuracies, their difference, and the distilled students' log-likelihood."""
OF_MEAN = 3
"""Seeds of the mean whose reliability is told."""


@dataclass(frozen=True)
class Repeats:
    """How far one seed of a label agrees with another: mean Spearman over pairs of seeds, and its interval."""

    one: float
    low: float
    high: float

    @property
    def of_three(self) -> float:
        """Reliability of the mean of three seeds, by Spearman-Brown."""
        return spearman_brown(self.one, OF_MEAN)


@dataclass(frozen=True)
class Judged:
    """A recipe: `images` are those that a training sees, `seconds` what it cost, mean over both modes (the column of
    accuracy tables); means are in percent and points.

    `kendall` is of vanilla with distilled accuracy, `published` Spearman of distilled accuracy with a published one,
    both of means over seeds.
    """

    recipe: str
    functions: int
    seeds: int
    images: int
    seconds: float
    vanilla: float
    distilled: float
    gain: float
    kendall: float
    repeats: dict[str, Repeats]
    published: float = math.nan
    published_low: float = math.nan
    published_high: float = math.nan


def study(benchmark: str, folder: Path, published: Path | None = None) -> list[Judged]:
    """Every recipe of a benchmark's study that has tables in the folder, in the order of the study.

    Raises BadInput where there are none, and for a damaged table.
    """
    names = [name for name in STUDIED[benchmark] if table_path(name, MODES[1], place_of(name, folder)).exists()]
    if not names:
        raise BadInput(f"no tables of {benchmark}'s recipes in {folder}: `python -m distill study` makes them")
    known = None if published is None else read_rows(published, NB201).groupby("cell")["test"].mean()
    return [_judged(name, place_of(name, folder), known) for name in names]


def _judged(name: str, folder: Path, published: pd.Series | None) -> Judged:
    tables = [read_table(table_path(name, mode, folder)).rows for mode in MODES]
    both = tables[0].merge(tables[1], on=["cell", "seed"], suffixes=MODES)
    good = both[(both[[f"status{mode}" for mode in MODES]] == "ok").all(axis=1)]
    by_kind = {mode: good.pivot(index="cell", columns="seed", values=f"test{mode}").dropna() for mode in MODES}
    vanilla, distilled = (by_kind[mode] for mode in MODES)
    by_kind["gain"] = distilled - vanilla
    by_kind["log_likelihood"] = good.pivot(index="cell", columns="seed", values="log_likelihooddistilled").dropna()
    agreement = [math.nan] * 3
    if published is not None:
        shared = distilled.index.intersection(published.index)
        found = correlate(
            published[shared].to_numpy(), distilled.loc[shared].mean(axis=1).to_numpy(), shared.to_numpy()
        )
        agreement = [found.spearman, found.spearman_low, found.spearman_high]
    return Judged(
        name,
        len(distilled),
        distilled.shape[1],
        recipe(name).steps * recipe(name).batch,
        float(good[[f"seconds{mode}" for mode in MODES]].to_numpy().mean()),
        float(vanilla.to_numpy().mean()),
        float(distilled.to_numpy().mean()),
        float(by_kind["gain"].to_numpy().mean()),
        float(stats.kendalltau(vanilla.mean(axis=1), distilled.mean(axis=1)).statistic),
        {kind: _repeats(frame) for kind, frame in by_kind.items()},
        *agreement,
    )


def _repeats(by_seed: pd.DataFrame) -> Repeats:
    found = reliability(by_seed)
    if found is None:
        return Repeats(math.nan, math.nan, math.nan)

    return Repeats(found.spearman, *agreement_interval(by_seed, by_seed.index.to_numpy()))
