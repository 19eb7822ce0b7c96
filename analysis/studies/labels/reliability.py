"""What accuracy tables say of themselves: whether seeds agree, what a proxy can reach, what the teacher adds.

An observation is a class of cells, its value the mean over its seeds. Intervals are 95 % bootstraps over classes: they
say what other classes would have given, not what other seeds would. All seeds share the test images, so that luck with
these counts as truth: a ceiling is for this test set.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.read.columns import counted
from analysis.read.labels import Labels, load_labels
from analysis.stats.bootstrap import interval
from analysis.stats.correlation import Correlation, correlate, kendall_interval
from analysis.stats.reliability import Reliability, reliability, true_correlation
from analysis.stats.seeds import Certainty, certainty
from analysis.typeset import DASH, number
from bench.benchmarks import Benchmark
from common.cli import print_table
from common.errors import BadInput
from distill.recipes import MODES
from distill.tables import FOLDER, read_table, table_path

KS = (1, 2, 3, 5, 10)
"""Numbers of seeds whose mean's reliability is told."""
QUANTILES = (5, 25, 50, 75, 95)


@dataclass(frozen=True)
class Coverage:
    """A `Coverage` counts the classes of a table that have an accuracy, and those that have none, by the reason."""

    any_seed: int
    all_seeds: int
    failed: dict[int, int]
    """Seed: trainings that diverged or failed otherwise."""
    missing: dict[int, int]
    """Seed: classes that the table has in another seed, and not in this one."""


@dataclass(frozen=True)
class Agreement:
    """An `Agreement` correlates vanilla with distilled accuracy: means over common seeds, and single seeds
    (`true_correlation`)."""

    observed: Correlation
    kendall_low: float
    kendall_high: float
    true: float
    true_low: float
    true_high: float


@dataclass(frozen=True)
class Gain:
    """Distilled minus vanilla accuracy in points: its mean with an interval, its spread over the n classes."""

    n: int
    mean: float
    low: float
    high: float
    sd: float
    quantiles: dict[int, float]
    """Percent: points."""
    positive: float
    """Share of classes whose gain is above 0."""
    params: Correlation
    """With the parameters of the cell that was trained."""


@dataclass(frozen=True)
class Report:
    """Everything about one benchmark's tables; a `Reliability` is None with a single seed or fewer than 3 classes.

    `certainty` is that of the mean Spearman between two seeds, by label.
    """

    benchmark: str
    sources: dict[str, str]
    coverage: dict[str, Coverage]
    reliability: dict[str, Reliability | None]
    certainty: dict[str, Certainty]
    agreement: Agreement
    gain: Gain


def report(setting: Benchmark, folder: Path = FOLDER) -> Report:
    """Report on the two accuracy tables of a benchmark. Raises BadInput for a missing or damaged one, and where no
    training is in both.
    """
    labels = {name: load_labels(name, setting.name, folder) for name in (*MODES, "gain")}
    by_seed = {name: each.by_seed.dropna(axis=1, how="all") for name, each in labels.items()}
    gains = by_seed["gain"]
    if gains.empty:
        raise BadInput(
            f"the tables of {setting.name} in {folder} share no class and seed that trained in both: "
            "no gain can be told; make both with `python -m distill run`"
        )
    vanilla, distilled = (by_seed[mode].loc[gains.index, gains.columns] for mode in MODES)
    groups = np.array(setting.space.representatives("function"))[gains.index.to_numpy(dtype=int)]
    return Report(
        benchmark=setting.name,
        sources={mode: labels[mode].source for mode in MODES},
        coverage={
            mode: _coverage(labels[mode], read_table(table_path(setting.name, mode, folder)).rows) for mode in MODES
        },
        reliability={name: reliability(frame) for name, frame in by_seed.items()},
        certainty={
            name: certainty(frame, np.array(setting.space.representatives("function"))[frame.index.to_numpy(dtype=int)])
            for name, frame in by_seed.items()
        },
        agreement=_agreement(vanilla.where(gains.notna()), distilled.where(gains.notna()), groups),
        gain=_gain(gains, setting, groups),
    )


def _coverage(labels: Labels, rows: pd.DataFrame) -> Coverage:
    status = rows.pivot(index="cell", columns="seed", values="status")
    trained = labels.by_seed.reindex(index=status.index, columns=status.columns).notna()
    failed, missing = (rows["status"] != "ok").groupby(rows["seed"]).sum(), status.isna().sum()
    return Coverage(
        any_seed=int(trained.any(axis=1).sum()),
        all_seeds=int(trained.all(axis=1).sum()),
        failed={int(seed): int(count) for seed, count in failed.items()},
        missing={int(seed): int(count) for seed, count in missing.items()},
    )


def _agreement(vanilla: pd.DataFrame, distilled: pd.DataFrame, groups: np.ndarray) -> Agreement:
    a, b = (frame.mean(axis=1).to_numpy() for frame in (vanilla, distilled))
    complete = vanilla.notna().all(axis=1).to_numpy()
    singles = vanilla[complete].to_numpy(), distilled[complete].to_numpy()

    def true(drawn: np.ndarray) -> float:
        return true_correlation(singles[0][drawn], singles[1][drawn])

    known = true(np.arange(complete.sum()))
    return Agreement(
        correlate(a, b, groups),
        *kendall_interval(a, b, groups),
        known,
        *((math.nan, math.nan) if math.isnan(known) else interval(true, groups[complete])),
    )


def _gain(by_seed: pd.DataFrame, setting: Benchmark, groups: np.ndarray) -> Gain:
    gains = by_seed.mean(axis=1).to_numpy()
    params = counted("params", setting, by_seed.index).to_numpy()
    low, high = interval(lambda drawn: float(gains[drawn].mean()), groups)
    return Gain(
        n=len(gains),
        mean=float(gains.mean()),
        low=low,
        high=high,
        sd=float(gains.std(ddof=1)) if len(gains) > 1 else math.nan,
        quantiles={percent: float(np.quantile(gains, percent / 100)) for percent in QUANTILES},
        positive=float((gains > 0).mean()),
        params=correlate(params, gains, groups),
    )


def entry(found: Report) -> dict[str, Any]:
    """The report for JSON: a number that is not known is null."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): plain(each) for key, each in value.items()}
        return None if isinstance(value, float) and not math.isfinite(value) else value

    stepped = {
        name: None if each is None else asdict(each) | {"means": _means(each)}
        for name, each in found.reliability.items()
    }
    return {name: plain(each) for name, each in (asdict(found) | {"reliability": stepped}).items()}


def _means(found: Reliability) -> dict[int, dict[str, float]]:
    return {k: {"reliability": found.of_mean(k), "ceiling": found.ceiling_of_mean(k)} for k in KS}


def print_report(found: Report) -> None:
    """The report for people, on standard output."""
    print(f"{found.benchmark}: test accuracy after the last step; Spearman's and Kendall's correlations\n")
    print_table(
        ["table", "recipe", "classes with any seed", "with all seeds", "failed, by seed", "missing, by seed"],
        [
            [mode, found.sources[mode], each.any_seed, each.all_seeds, _by_seed(each.failed), _by_seed(each.missing)]
            for mode, each in found.coverage.items()
        ],
    )
    print("Two seeds against each other (mean over pairs, classes with all seeds), and the mean of k seeds:")
    print("reliability by Spearman-Brown and, its root, the ceiling: Spearman of a proxy that knew the true ranking.")
    print_table(
        ["labels", "classes", "seeds", "Kendall", "Spearman", "", *(f"k = {k}" for k in KS)],
        [row for name, each in found.reliability.items() for row in _rows(name, each)],
    )
    _print_agreement(found.agreement)
    _print_gain(found.gain, found.reliability["gain"], found.certainty["gain"])


def _with_interval(value: float, low: float, high: float, digits: int = 3) -> str:
    return f"{number(value, digits)} [{number(low, digits)}, {number(high, digits)}]"


def _by_seed(counts: dict[int, int]) -> str:
    return ", ".join(f"{seed}: {count}" for seed, count in counts.items())


def _rows(name: str, found: Reliability | None) -> list[list[object]]:
    if found is None:
        return [[name, *[DASH] * 4, "unknown: needs two seeds of three classes", *[DASH] * len(KS)]]
    means = _means(found).values()
    facts = [name, found.cells, found.seeds, number(found.kendall, 3), number(found.spearman, 3)]
    return [
        [*facts, "reliability", *(number(each["reliability"], 3) for each in means)],
        [*[""] * len(facts), "ceiling", *(number(each["ceiling"], 3) for each in means)],
    ]


def _print_agreement(found: Agreement) -> None:
    seen = found.observed
    print(f"Vanilla against distilled, {seen.n} classes, means of the seeds that both have, [95 % of bootstraps]:")
    print(f"  Kendall  {_with_interval(seen.kendall, found.kendall_low, found.kendall_high)}")
    print(f"  Spearman {_with_interval(seen.spearman, seen.spearman_low, seen.spearman_high)}")
    print(f"  Spearman {_with_interval(found.true, found.true_low, found.true_high)} corrected for attenuation:")
    print("    an estimate of that between noiseless rankings, from different seeds only, because the same seed shares")
    print("    its luck; approximate for ranks, and chance may carry it past 1. Kendall has no such correction.\n")


def _print_gain(found: Gain, agreement: Reliability | None, sure: Certainty) -> None:
    params = found.params
    print(f"Gain, distilled minus vanilla, {found.n} classes, in points:")
    print(f"  mean {_with_interval(found.mean, found.low, found.high, 2)}, standard deviation {number(found.sd, 2)}")
    shares = ", ".join(f"{percent} %: {number(value, 2)}" for percent, value in found.quantiles.items())
    print(f"  quantiles {shares}; positive in {found.positive:.1%} of the classes")
    known = _with_interval(agreement.spearman if agreement else math.nan, sure.low, sure.high)
    print(f"  seed-to-seed Spearman {known}; permutation test p {number(sure.p, 4)}")
    interval_of_params = _with_interval(params.spearman, params.spearman_low, params.spearman_high)
    print(f"  with params: Spearman {interval_of_params}, Kendall {number(params.kendall, 3)}")
