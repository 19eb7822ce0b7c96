"""How well a ranking is that learned from k labels, beside the proxies, which need none; and what each costs.

Every learner is trained on the k labelled functions of a draw and judged on all others that have a label, by what a
leaderboard judges proxies by. A label is the mean of its table's seeds, and costs what all of these took.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from analysis.read import costs
from analysis.read.columns import BASELINE, label_cells
from analysis.read.labels import Labels
from analysis.read.scores import judged_columns, published
from analysis.stats import bootstrap, ranking
from analysis.stats.bootstrap import quantiles
from analysis.stats.comparison import spearman
from analysis.stats.correlation import spearman_draws, spearman_interval
from analysis.studies.learned.draws import CHOICES, chosen
from analysis.studies.learned.features import FEATURES, features
from bench.benchmarks import Benchmark
from common import pool
from common.errors import BadInput
from common.progress import Progress
from search.learners import LEARNERS, Prediction, normal_scores, standardised

SIZES = (4, 8, 16, 32, 64, 128)
DRAWS = 100
JUDGED = 30
"""Functions that must be left to be judged."""
METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "spearman": spearman,
    "kendall": lambda scores, labels: float(stats.kendalltau(scores, labels, variant="b").statistic),
    "precision10": lambda scores, labels: ranking.precision_at(scores, labels, 0.1),
    "regret1": lambda scores, labels: ranking.regret_at(scores, labels, 1),
    "regret10": lambda scores, labels: ranking.regret_at(scores, labels, 10),
}
"""Of scores and labels, as leaderboards have them."""


class Ranker(NamedTuple):
    """A `Ranker` learns from features of labelled functions that were chosen in one way."""

    learner: str
    features: str
    choice: str


def pick(known: np.ndarray, targets: np.ndarray, others: np.ndarray) -> Prediction:
    """The feature that ranks the known ones best, of several the mean: what labels say without a model."""
    ranks = stats.rankdata(np.column_stack([targets, known]), axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        worth = np.nan_to_num(np.corrcoef(ranks, rowvar=False)[0, 1:], nan=-1.0)
    return Prediction(others[:, worth >= worth.max() - 1e-9].mean(axis=1), np.ones(len(others)))


LEARNED = {**LEARNERS, "pick": pick}
SPREAD = ("gp", "all")
"""Learner and features whose labels are chosen in the other ways too."""
RANKERS = (
    *(Ranker(*both, CHOICES[0]) for both in product(LEARNERS, FEATURES)),
    Ranker("pick", "proxies", CHOICES[0]),
    *(Ranker(*SPREAD, how) for how in CHOICES[1:]),
)


@dataclass(frozen=True)
class Labelled:
    """What is learned from and judged on: n functions with a label, by place."""

    labels: np.ndarray
    """[n]"""
    groups: np.ndarray
    """[n], for the bootstrap."""
    features: Mapping[str, np.ndarray]
    """[n, d], standardised."""
    rivals: Mapping[str, np.ndarray]
    """[n], of the best proxy and of params, failed ones last."""


@dataclass(frozen=True)
class Row:
    """A ranker at one k, or a proxy (`features`, `choice` empty, k 0): means over the draws, each with 95 %.

    Of a ranker `spearman`, `over_best` and `over_params` (its Spearman minus the proxy's on the same functions) vary
    with the labels drawn and the functions judged, the other metrics with the labels drawn; of a proxy `spearman` with
    the functions. `score_seconds` is what all functions of the space cost to score, NaN where that was not measured,
    `label_seconds` what k labels cost.
    """

    ranking: str
    features: str
    choice: str
    k: int
    spearman: float
    spearman_low: float
    spearman_high: float
    kendall: float
    kendall_low: float
    kendall_high: float
    precision10: float
    precision10_low: float
    precision10_high: float
    regret1: float
    regret1_low: float
    regret1_high: float
    regret10: float
    regret10_low: float
    regret10_high: float
    over_best: float
    over_best_low: float
    over_best_high: float
    over_params: float
    over_params_low: float
    over_params_high: float
    score_seconds: float
    label_seconds: float


@dataclass(frozen=True)
class Learned:
    """The rows of a study, proxies first, and what it is of."""

    rows: pd.DataFrame
    made: dict[str, Any]


def study(
    setting: Benchmark,
    labels: Labels,
    label_seconds: float,
    scores: Path,
    spent: Path,
    draws: int = DRAWS,
    workers: int = 1,
) -> Learned:
    """Every ranker at every k that leaves enough to judge, `draws` times, and every proxy that scores what is labelled.

    `label_seconds`: the mean cost of a label. Raises BadInput where nothing can be learned.
    """
    labelled = label_cells(labels, "functions")
    columns = {
        name: column
        for name, column in judged_columns(published(scores, setting.name), setting, "functions").items()
        if labelled.index.isin(column.index).all()
    }
    sizes = [k for k in SIZES if k + JUDGED <= len(labelled)]
    if not sizes or BASELINE not in columns:
        raise BadInput(f"{setting.name} has {len(labelled)} labelled functions that are scored: too few to learn from")
    ranked = {name: column.rank(na_option="top")[labelled.index].to_numpy() for name, column in columns.items()}
    worth = {name: np.nan_to_num(spearman(column, labelled.to_numpy()), nan=-1) for name, column in ranked.items()}
    best = max(worth, key=worth.__getitem__)
    given = Labelled(
        labelled.to_numpy(),
        np.array(setting.space.representatives("function"))[labelled.index.to_numpy(dtype=int)],
        {name: standardised(features(name, setting.space, columns, [*labelled.index])) for name in FEATURES},
        {"best": ranked[best], "params": ranked[BASELINE]},
    )
    functions = len(setting.space.cell_set("functions"))
    price = {name: cost * functions for name, cost in costs.seconds(spent, setting.name).items()}
    found = _all_draws(given, sizes, draws, workers)
    rows = [_proxy_row(name, column, given, price.get(name, math.nan)) for name, column in ranked.items()]
    rows.sort(key=lambda row: -np.nan_to_num(row.spearman, nan=-1))
    everything = costs.together(spent, setting.name) * functions
    for k, ranker in product(sizes, RANKERS):
        scored = everything if ranker.features in ("proxies", "all") else 0.0
        each = [one[ranker] for (size, _), one in found.items() if size == k]
        rows.append(_row(ranker, k, each, scored, k * label_seconds))
    made = {
        "benchmark": setting.name,
        "labels": labels.source,
        "labelled": len(labelled),
        "functions": functions,
        "draws": draws,
        "best": best,
        "label_seconds": round(label_seconds, 2),
    }
    return Learned(pd.DataFrame([asdict(row) for row in rows]), made)


class Judged(NamedTuple):
    """One draw of a ranker: its metrics, and Spearman of bootstrap draws [b, 3] of it, the best proxy and params."""

    metrics: dict[str, float]
    over: dict[str, float]
    resampled: np.ndarray


_Task = tuple[int, int]
"""k and the number of the draw."""


def _all_draws(given: Labelled, sizes: Sequence[int], draws: int, workers: int) -> dict[_Task, dict[Ranker, Judged]]:
    tasks = [*product(sizes, range(draws))]
    job: pool.Job[_Task, dict[Ranker, Judged]] = pool.Job(
        functools.partial(_given, given), functools.partial(_draw, draws=draws)
    )
    found: dict[_Task, dict[Ranker, Judged]] = {}
    with Progress("learning", len(tasks), "draws") as bar:
        for task, result in pool.run(job, tasks, workers):
            if isinstance(result, pool.Died):
                raise BadInput(f"a draw with {task[0]} labels: {result.reason}; try again with --workers 1")
            found[task] = result
            bar.advance(1)
    return {task: found[task] for task in tasks}


def _given(given: Labelled) -> Labelled:
    return given


def _draw(given: Labelled, task: _Task, draws: int) -> dict[Ranker, Judged]:
    """Every ranker on the labels of one draw."""
    k, draw = task
    share = bootstrap.RESAMPLES // draws
    numbers = range(draw * share, (draw + 1) * share)
    found: dict[Ranker, Judged] = {}
    for how in CHOICES:
        known = chosen(how, k, draw, given.rivals.get({"proxy": "best"}.get(how, how)), given.features["all"])
        others = np.setdiff1d(np.arange(len(given.labels)), known)
        rankers = [ranker for ranker in RANKERS if ranker.choice == how]
        found |= dict(zip(rankers, _judged(given, known, others, rankers, numbers), strict=True))
    return found


def _judged(
    given: Labelled, known: np.ndarray, others: np.ndarray, rankers: Sequence[Ranker], numbers: Sequence[int]
) -> Iterator[Judged]:
    targets, labels = normal_scores(given.labels[known]), given.labels[others]
    rivals = {name: column[others] for name, column in given.rivals.items()}
    predicted = []
    for ranker in rankers:
        of = given.features[ranker.features]
        predicted.append(LEARNED[ranker.learner](of[known], targets, of[others]).mean)
    draws = spearman_draws(np.column_stack([*predicted, *rivals.values()]), labels, given.groups[others], numbers)
    against = {name: spearman(column, labels) for name, column in rivals.items()}
    for number, scores in enumerate(predicted):
        metrics = {name: metric(scores, labels) for name, metric in METRICS.items()}
        over = {name: metrics["spearman"] - theirs for name, theirs in against.items()}
        yield Judged(metrics, over, draws[:, [number, -len(rivals), -len(rivals) + 1]])


def _row(ranker: Ranker, k: int, draws: Sequence[Judged], score_seconds: float, label_seconds: float) -> Row:
    numbers: dict[str, float] = {}
    for name in METRICS:
        values = np.array([one.metrics[name] for one in draws])
        numbers |= _spread(name, values, values)
    resampled = np.concatenate([one.resampled for one in draws])
    numbers |= _spread("spearman", np.array([one.metrics["spearman"] for one in draws]), resampled[:, 0])
    for place, name in enumerate(("best", "params"), start=1):
        differences = resampled[:, 0] - resampled[:, place]
        numbers |= _spread(f"over_{name}", np.array([one.over[name] for one in draws]), differences)
    seconds = {"score_seconds": score_seconds, "label_seconds": label_seconds}
    return Row(ranking=ranker.learner, features=ranker.features, choice=ranker.choice, k=k, **numbers, **seconds)


def _spread(name: str, values: np.ndarray, drawn: np.ndarray) -> dict[str, float]:
    """The mean of values, and the 95 % interval of what was drawn."""
    low, high = quantiles(drawn)
    mean = math.nan if np.isnan(values).all() else float(np.nanmean(values))
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def _proxy_row(name: str, scores: np.ndarray, given: Labelled, seconds: float) -> Row:
    """A proxy on all labelled functions."""
    numbers: dict[str, float] = {}
    for metric, of in METRICS.items():
        value = of(scores, given.labels)
        numbers |= {metric: value, f"{metric}_low": math.nan, f"{metric}_high": math.nan}
    numbers["spearman_low"], numbers["spearman_high"] = spearman_interval(scores, given.labels, given.groups)
    columns = np.column_stack([scores, *given.rivals.values()])
    drawn = spearman_draws(columns, given.labels, given.groups)
    for place, (rival, column) in enumerate(given.rivals.items(), start=1):
        over = numbers["spearman"] - spearman(column, given.labels)
        numbers |= _spread(f"over_{rival}", np.array([over]), drawn[:, 0] - drawn[:, place])
    return Row(ranking=name, features="", choice="", k=0, **numbers, score_seconds=seconds, label_seconds=0.0)
