"""Every published proxy of a benchmark, judged by one accuracy table: the rows of a leaderboard.

Read are the scores under `results/scores/` and the accuracies, so that a table can be made again without scoring.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import ranking
from analysis.comparison import Difference, compare, holm
from analysis.correlate import judge, label_cells
from analysis.labels import Labels
from analysis.published import judged_columns, published
from analysis.typeset import Table
from bench.benchmarks import Benchmark
from common.files import write_whole
from proxies import registry
from proxies.base import Population, Proxy
from spaces.equivalence import representatives

TABLES = Path("results/tables")
BASELINE = "params"
TOP = 0.1
PICKED = 10
GAINED = 100


@dataclass(frozen=True)
class Line:
    """One proxy. `scored` and `failed` count cells of the set, `n` those with a score that have a label too.

    `top10` is Spearman among the true best tenth, `precision10` the share of these in the predicted best tenth,
    `regret10` the points lost by trusting the ten picked first, `ndcg100` that of the first hundred
    (analysis/ranking.py). `given_params` and `given_vanilla` are partial Spearman correlations; `over_params` is
    Spearman minus that of params on the same cells, with its interval and Holm's p over all proxies.
    """

    proxy: str
    family: str
    kendall: float
    spearman: float
    spearman_low: float
    spearman_high: float
    pearson: float
    weighted_kendall: float
    top10: float
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


def lines(folder: Path, benchmark: Benchmark, labels: Labels, which: str, vanilla: Labels | None = None) -> list[Line]:
    """Published proxies, populations of which all parts are, and the baselines; the highest Spearman first.

    `vanilla`: accuracies without a teacher, to be held constant in `given_vanilla`.
    """
    tables = published(folder, benchmark.name)
    columns = judged_columns(tables, benchmark, which)
    labelled = label_cells(labels, which)
    beside = None if vanilla is None else label_cells(vanilla, which)
    frame = pd.DataFrame({name: column.reindex(labelled.index) for name, column in columns.items()})
    groups = np.array(representatives("function"))[labelled.index.to_numpy(dtype=int)]
    over = _over_params(frame, labelled, groups)
    found = []
    for name, column in columns.items():
        seeds = tables[name].shape[1] if name in tables else 0
        found.append(_line(_named(name), column, frame, labelled, beside, over.get(name), seeds))
    return sorted(found, key=lambda line: -math.inf if math.isnan(line.spearman) else line.spearman, reverse=True)


def _over_params(frame: pd.DataFrame, labels: pd.Series, groups: np.ndarray) -> dict[str, Difference]:
    """Every other proxy beside the baseline, each on the cells that both score, with Holm's p over all of them."""
    pairs = [(str(name), BASELINE) for name in frame if name != BASELINE]
    tested = [compare(frame[list(pair)], labels, groups, [pair])[0] for pair in pairs]
    corrected = holm(np.array([one.p_value for one in tested]))
    return {one.a: replace(one, p_holm=float(p)) for one, p in zip(tested, corrected, strict=True)}


def _named(name: str) -> Proxy | Population:
    (one,) = registry.choose(name)
    return one


def _line(
    proxy: Proxy | Population,
    column: pd.Series,
    frame: pd.DataFrame,
    labelled: pd.Series,
    vanilla: pd.Series | None,
    over: Difference | None,
    seeds: int,
) -> Line:
    result = judge(proxy.label, [], column, labelled)
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
        pearson=found.pearson,
        weighted_kendall=ranking.weighted_kendall(scores, accuracies),
        top10=ranking.top_correlation(scores, accuracies, TOP).spearman,
        precision10=ranking.precision_at(scores, accuracies, TOP),
        regret10=ranking.regret_at(scores, accuracies, PICKED),
        ndcg100=ranking.ndcg_at(scores, accuracies, GAINED),
        given_params=ranking.partial_spearman(scores, accuracies, sizes),
        given_vanilla=_given(pairs, vanilla),
        over_params=over.difference if over else math.nan,
        over_params_low=over.low if over else math.nan,
        over_params_high=over.high if over else math.nan,
        over_params_p=over.p_holm if over else math.nan,
        n=found.n,
        coverage=result.coverage,
        scored=int(column.notna().sum()),
        failed=int(column.isna().sum()),
        seeds=seeds,
    )


def _given(pairs: pd.DataFrame, vanilla: pd.Series | None) -> float:
    """Partial Spearman given vanilla accuracy, on the cells that have one."""
    if vanilla is None:
        return math.nan
    both = pairs.assign(vanilla=vanilla.reindex(pairs.index)).dropna()
    return ranking.partial_spearman(*(both[name].to_numpy() for name in ("score", "label", "vanilla")))


HEAD = (
    "proxy",
    "Spearman",
    "95 % interval",
    "Kendall",
    "weighted",
    "top 10 %",
    "P@10 %",
    "regret@10",
    "nDCG@100",
    "given params",
    "over params",
    "n",
    "failed",
    "seeds",
)


def write(found: list[Line], path: Path, caption: str) -> list[Path]:
    """`path` with the endings .csv (everything, four decimals), .md and .tex (what a page holds, two decimals)."""
    frame = pd.DataFrame([asdict(line) for line in found]).round(4)
    table = path.with_name(path.name + ".csv")
    write_whole(table, frame.to_csv(index=False, lineterminator="\n").encode())
    note = "Starred: differs from params (95 %, paired bootstrap over functions, Holm over all proxies)."
    return [table, *Table(f"{caption} {note}", HEAD, [_row(line) for line in found]).write(path)]


def _row(line: Line) -> list[str]:
    def said(value: float, digits: int = 2) -> str:
        return "–" if math.isnan(value) else f"{value:.{digits}f}"

    return [
        line.proxy,
        said(line.spearman),
        f"{said(line.spearman_low)} to {said(line.spearman_high)}",
        said(line.kendall),
        said(line.weighted_kendall),
        said(line.top10),
        said(line.precision10),
        said(line.regret10),
        said(line.ndcg100),
        said(line.given_params),
        said(line.over_params) + ("*" if line.over_params_p < 0.05 else ""),
        str(line.n),
        str(line.failed),
        str(line.seeds),
    ]
