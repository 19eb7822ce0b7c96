"""How far label sets agree over the same functions: digits, small natural images, published accuracies.

A leaderboard is worth as much as its labels. Where two sets rank the functions alike, and proxies come in the same
order against both, what one says of a proxy holds for the other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from analysis.read.labels import load_labels, read_rows
from analysis.read.scores import judged_columns, published
from analysis.stats.comparison import spearman
from analysis.stats.correlation import correlate
from bench.benchmarks import benchmark as named
from bench.benchmarks import names
from common.errors import BadInput
from distill.recipes import MODES
from distill.tables import FOLDER, table_path
from spaces.nb201.space import NB201


@dataclass(frozen=True)
class Agreement:
    """Of two label sets, means over seeds of the n functions that all sets have: Spearman with its 95 % interval
    (bootstrap over functions), Kendall, and Spearman among the half that is best by the second.

    `proxies` is Spearman between the proxies' correlations with the two sets, over the proxies that are published for
    both; NaN where fewer than three are.
    """

    one: str
    other: str
    n: int
    spearman: float
    low: float
    high: float
    kendall: float
    upper_half: float
    proxies: float


def label_sets(folder: Path = FOLDER, files: Mapping[str, Path] | None = None) -> pd.DataFrame:
    """Labels by function (rows) and set (columns `benchmark, mode`, and the names of `files`), where all sets have one.

    Of a file, what it says of the representative of each function. Raises BadInput for fewer than two sets, and where
    fewer than three functions are shared.
    """
    columns: dict[str, pd.Series] = {}
    for name in names():
        if named(name).space.cell_based and table_path(name, "distilled", folder).exists():
            columns |= {f"{name}, {mode}": load_labels(mode, name, folder).mean for mode in MODES}
    for name, path in (files or {}).items():
        columns[name] = read_rows(path, NB201).groupby("cell")["test"].mean()
    if len(columns) < 2:
        raise BadInput(f"there are no accuracy tables in {folder} to compare: `python -m distill run` makes them")
    frame = pd.DataFrame(columns).dropna()
    if len(frame) < 3:
        raise BadInput(f"the label sets {'; '.join(columns)} share {len(frame)} functions: label more")
    return frame


def standings(labels: pd.DataFrame, scores: Path) -> pd.DataFrame:
    """Spearman of each published proxy (rows) with each set of `label_sets` (columns) of a benchmark of ours, by the
    scores of that benchmark; without proxies that a tenth of the functions lack.
    """
    found: dict[str, dict[str, float]] = {}
    for label in labels:
        name = str(label).split(", ")[0]
        if not (scores / name / "manifest.json").is_file():
            continue
        columns = judged_columns(published(scores, name), named(name), "functions")
        for proxy, column in columns.items():
            pairs = pd.DataFrame({"score": column, "label": labels[label]}).dropna()
            if len(pairs) >= 0.9 * len(labels):
                value = spearman(pairs["score"].to_numpy(), pairs["label"].to_numpy())
                found.setdefault(str(label), {})[proxy] = value
    return pd.DataFrame(found)


def agreements(labels: pd.DataFrame, standing: pd.DataFrame) -> list[Agreement]:
    """Compare every pair of label sets."""
    found = []
    groups = labels.index.to_numpy(dtype=int)
    for one, other in itertools.combinations(labels, 2):
        a, b = labels[one].to_numpy(), labels[other].to_numpy()
        seen = correlate(a, b, groups)
        upper = b >= np.median(b)
        shared = standing[[one, other]].dropna() if {one, other} <= set(standing) else standing.iloc[:0]
        order = float(stats.spearmanr(*shared.to_numpy().T).statistic) if len(shared) > 2 else math.nan
        found.append(
            Agreement(
                one=str(one),
                other=str(other),
                n=len(labels),
                spearman=seen.spearman,
                low=seen.spearman_low,
                high=seen.spearman_high,
                kendall=seen.kendall,
                upper_half=spearman(a[upper], b[upper]),
                proxies=order,
            )
        )
    return found
