"""Do members of a class share a label? Representatives beside members that were trained as the benchmark runs them.

A class is one function at initialisation. In training, a member's convolution that is fed by zeros becomes a learned
constant, which the representative does not have (docs/decisions/equivalence.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from analysis.read.labels import known_labels, load_labels
from analysis.stats.bootstrap import interval
from common.cli import print_table
from common.errors import BadInput
from distill.recipe_name import RecipeName
from distill.recipes import MODES
from distill.tables import FOLDER
from spaces.nb201.equivalence import representatives


@dataclass(frozen=True)
class Agreement:
    """An `Agreement` sums up member minus representative over n classes with k common seeds, in points.

    `sd` is the deviation of the differences between classes (of means over seeds), `noise` the deviation that the
    seeds alone would give them: the root of the mean variance between a difference's seeds over k. F = (sd / noise)^2
    has n - 1 and n (k - 1) degrees of freedom where members share a label (one-way analysis of variance), and
    `p_value` is the chance of a larger one. `spread` is the deviation of the representatives' labels, to compare with.
    """

    mode: str
    n: int
    seeds: int
    mean: float
    low: float
    high: float
    sd: float
    noise: float
    p_value: float
    spread: float


def compare(benchmark: str, folder: Path = FOLDER) -> list[Agreement]:
    """Compare members with representatives in both modes. Raises BadInput for missing tables, and for fewer than three
    classes or two seeds in common.
    """
    return [_agreement(mode, *_paired(mode, benchmark, folder)) for mode in MODES]


def _executed(benchmark: str) -> str:
    """The name of the tables of members that were trained as the benchmark executes them."""
    return str(replace(RecipeName.parse(benchmark), executed=True))


def _paired(mode: str, benchmark: str, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Labels of representatives and of members, [n, k] each, row by row of one class."""
    sample, chosen = known_labels(benchmark, mode, folder)
    executed = _executed(benchmark)
    own, other = sample[mode].by_seed, load_labels(mode, executed, folder).by_seed
    if chosen:
        more = chosen[mode].by_seed
        own = pd.concat([own, more[~more.index.isin(own.index)]]).sort_index()
    of_class = np.array(representatives("function"))
    other = other.set_axis(of_class[other.index.to_numpy(dtype=int)])
    seeds = own.columns.intersection(other.columns)
    common = own.index.intersection(other.index)
    pairs = pd.concat([own.loc[common, seeds], other.loc[common, seeds]], axis=1).dropna()
    if len(pairs) < 3 or len(seeds) < 2:
        raise BadInput(
            f"the {mode} tables {benchmark} and {executed} share {len(pairs)} classes with {len(seeds)} "
            "seeds: three and two are needed; train more with `python -m distill run`"
        )
    return pairs.iloc[:, : len(seeds)], pairs.iloc[:, len(seeds) :]


def _agreement(mode: str, own: pd.DataFrame, other: pd.DataFrame) -> Agreement:
    differences = other.to_numpy() - own.to_numpy()
    n, k = differences.shape
    means = differences.mean(1)
    between, within = means.var(ddof=1), differences.var(axis=1, ddof=1).mean() / k
    low, high = interval(lambda drawn: float(means[drawn].mean()), np.arange(n))
    return Agreement(
        mode=mode,
        n=n,
        seeds=k,
        mean=float(means.mean()),
        low=low,
        high=high,
        sd=float(np.sqrt(between)),
        noise=float(np.sqrt(within)),
        p_value=float(stats.f.sf(between / within, n - 1, n * (k - 1))),
        spread=float(own.mean(axis=1).std(ddof=1)),
    )


def print_agreement(found: list[Agreement]) -> None:
    """Print the agreement for people."""
    rows: list[list[object]] = [
        [
            each.mode,
            each.n,
            each.seeds,
            f"{each.mean:.2f} [{each.low:.2f}, {each.high:.2f}]",
            f"{each.sd:.2f}",
            f"{each.noise:.2f}",
            f"{each.p_value:.3f}",
            f"{each.spread:.2f}",
        ]
        for each in found
    ]
    print("A member as the benchmark runs it minus the representative of its class, points of test accuracy:")
    columns = ["labels", "classes", "seeds", "mean [95 %]", "sd", "sd by seeds alone", "p", "sd of the labels"]
    print_table(columns, rows)
