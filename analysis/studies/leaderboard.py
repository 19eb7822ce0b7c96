"""Every published proxy of a benchmark, judged by one accuracy table: the rows of a leaderboard.

Read are the scores under `results/scores/` and the accuracies, so that a table can be made again without scoring.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.read.columns import BASELINE, label_cells, labels_by_seed
from analysis.read.labels import Labels
from analysis.read.scores import judged_columns, published
from analysis.stats import ranking
from analysis.stats.comparison import Difference, over
from analysis.stats.correlation import seeds_interval
from analysis.stats.reliability import corrected_correlation
from analysis.studies.correlate import Result, judge
from bench.benchmarks import Benchmark
from common import modules, results
from proxies import registry
from proxies.base import Population, Proxy
from spaces.space import Space

TABLES = results.TABLES
TOP, NEXT = 0.1, 0.2
PICKED = 10
GAINED = 100


@dataclass(frozen=True)
class Line:
    """One proxy. `scored` and `failed` count cells of the set, `n` those with a score that have a label too.

    Cells that failed are left out everywhere but in `spearman_worst`, where they are ranked last (NaN: none did).
    `top10` and `top20` are Spearman among the true best tenth and fifth, `precision10` the share of that tenth in the
    predicted one, `regret10` the points lost by trusting the ten picked first, `ndcg100` that of the first hundred
    (analysis/stats/). `seeds_low` and `seeds_high` are the interval with seeds of scores and labels drawn too (NaN:
    one seed, or combined from others), `corrected` is Spearman with labels without their noise
    (`seeds_interval`, `corrected_correlation`); both where vanilla accuracy stands beside. `given_params` and
    `given_vanilla` are partial Spearman correlations; `over_params` is Spearman minus that of params on the same cells,
    with its interval and Holm's p over all proxies. `forwards` is the cost of a cell in forward passes, NaN where none
    was measured.
    """

    proxy: str
    family: str
    kendall: float
    spearman: float
    spearman_low: float
    spearman_high: float
    spearman_worst: float
    seeds_low: float
    seeds_high: float
    corrected: float
    corrected_low: float
    corrected_high: float
    pearson: float
    weighted_kendall: float
    top10: float
    top20: float
    precision10: float
    regret10: float
    ndcg100: float
    given_params: float
    given_vanilla: float
    over_params: float
    over_params_low: float
    over_params_high: float
    over_params_p: float
    n: int
    coverage: float
    scored: int
    failed: int
    seeds: int
    forwards: float


def lines(
    folder: Path,
    benchmark: Benchmark,
    labels: Labels,
    which: str,
    vanilla: Labels | None = None,
    costs: Mapping[str, float] | None = None,
) -> list[Line]:
    """Published proxies, populations of which all parts are, and the baselines; the highest Spearman first.

    `vanilla`: accuracies without a teacher, to be held constant in `given_vanilla`; with them what seeds add is
    computed, which takes as long as the rest. `costs`: forward passes by proxy.
    """
    tables = published(folder, benchmark.name)
    return judged_lines(tables, judged_columns(tables, benchmark, which), benchmark, labels, which, vanilla, costs)


def judged_lines(
    tables: Mapping[str, pd.DataFrame],
    columns: Mapping[str, pd.Series],
    benchmark: Benchmark,
    labels: Labels,
    which: str,
    vanilla: Labels | None = None,
    costs: Mapping[str, float] | None = None,
) -> list[Line]:
    """As `lines`, of any `columns`, `BASELINE` among them: Holm's p is over these. `tables` have their seeds."""
    labelled = label_cells(labels, which)
    beside = None if vanilla is None else label_cells(vanilla, which)
    frame = pd.DataFrame({name: column.reindex(labelled.index) for name, column in columns.items()})
    groups = np.array(benchmark.space.representatives("function"))[labelled.index.to_numpy(dtype=int)]
    beyond = over(BASELINE, frame, labelled, groups)
    seeded = None if vanilla is None else labels_by_seed(labels, which)
    found = []
    for name, column in columns.items():
        proxy, cost = _named(name), (costs or {}).get(name, math.nan)
        parts = registry.parts(proxy) if isinstance(proxy, Population) else [proxy]
        seeds = min(tables[part.label].shape[1] if part.label in tables else 0 for part in parts)
        with_seeds = _with_seeds(column, tables.get(name), seeded, benchmark.space)
        result = judge(proxy.label, [], column, labelled, benchmark.space)
        found.append(_line(proxy, result, column, frame, beside, beyond.get(name), with_seeds, seeds, cost))
    return sorted(found, key=lambda line: -math.inf if math.isnan(line.spearman) else line.spearman, reverse=True)


def _named(name: str) -> Proxy | Population:
    (one,) = registry.choose(name, modules.in_use())
    return one


def _line(
    proxy: Proxy | Population,
    result: Result,
    column: pd.Series,
    frame: pd.DataFrame,
    vanilla: pd.Series | None,
    beyond: Difference | None,
    with_seeds: dict[str, float],
    seeds: int,
    cost: float,
) -> Line:
    found = result.correlation
    pairs = result.pairs
    scores, accuracies = pairs["score"].to_numpy(), pairs["label"].to_numpy()
    sizes = frame.loc[pairs.index, BASELINE].to_numpy()
    return Line(
        proxy=proxy.label,
        family=proxy.family,
        kendall=found.kendall,
        spearman=found.spearman,
        spearman_low=found.spearman_low,
        spearman_high=found.spearman_high,
        spearman_worst=result.worst.spearman if result.worst else math.nan,
        **with_seeds,
        pearson=found.pearson,
        weighted_kendall=ranking.weighted_kendall(scores, accuracies),
        top10=ranking.top_correlation(scores, accuracies, TOP).spearman,
        top20=ranking.top_correlation(scores, accuracies, NEXT).spearman,
        precision10=ranking.precision_at(scores, accuracies, TOP),
        regret10=ranking.regret_at(scores, accuracies, PICKED),
        ndcg100=ranking.ndcg_at(scores, accuracies, GAINED),
        given_params=ranking.partial_spearman(scores, accuracies, sizes),
        given_vanilla=_given(pairs, vanilla),
        over_params=beyond.difference if beyond else math.nan,
        over_params_low=beyond.low if beyond else math.nan,
        over_params_high=beyond.high if beyond else math.nan,
        over_params_p=beyond.p_holm if beyond else math.nan,
        n=found.n,
        coverage=result.coverage,
        scored=int(column.notna().sum()),
        failed=int(column.isna().sum()),
        seeds=seeds,
        forwards=cost,
    )


def _with_seeds(
    column: pd.Series, table: pd.DataFrame | None, seeded: pd.DataFrame | None, space: Space
) -> dict[str, float]:
    """What the seeds add: labels [cells, seeds] and, where they are a proxy's own, scores by seed."""
    if seeded is None:
        return dict.fromkeys(("seeds_low", "seeds_high", "corrected", "corrected_low", "corrected_high"), math.nan)
    scored = column[column.index.isin(seeded.index)].dropna()
    labels = seeded.loc[scored.index].to_numpy()
    groups = np.array(space.representatives("function"))[scored.index.to_numpy(dtype=int)]
    corrected = corrected_correlation(scored.to_numpy(), labels, groups)
    low = high = math.nan
    if table is not None:
        low, high = seeds_interval(table.loc[scored.index].to_numpy(), labels, groups)
    return {
        "seeds_low": low,
        "seeds_high": high,
        "corrected": corrected.spearman,
        "corrected_low": corrected.low,
        "corrected_high": corrected.high,
    }


def _given(pairs: pd.DataFrame, vanilla: pd.Series | None) -> float:
    """Partial Spearman given vanilla accuracy, on the cells that have one."""
    if vanilla is None:
        return math.nan
    both = pairs.assign(vanilla=vanilla.reindex(pairs.index)).dropna()
    return ranking.partial_spearman(*(both[name].to_numpy() for name in ("score", "label", "vanilla")))
