"""How far label sets agree, and proxies' order against them (`studies/labels/agreement.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from analysis.studies.labels.agreement import Agreement
from analysis.typeset import Table, decimals, estimated, words

COLUMNS = (
    words("labels", "one"),
    words("and", "other"),
    estimated("Spearman", "spearman", low="low", high="high"),
    decimals("Kendall", "kendall"),
    decimals("upper half", "upper_half"),
    decimals("order of proxies", "proxies"),
)


def frame(found: Sequence[Agreement]) -> pd.DataFrame:
    """One row a pair of label sets."""
    return pd.DataFrame([asdict(one) for one in found])


def table(frame: pd.DataFrame) -> Table:
    """The table of pairs."""
    caption = (
        f"Label sets over the same {frame['n'].iloc[0]} functions, means over seeds: Spearman [95 %, bootstrap over "
        "functions], Kendall, Spearman among the half that is best by the second set, and Spearman between the "
        "correlations of published proxies with the one and with the other."
    )
    return Table(frame, caption, COLUMNS)


def proxies_frame(standing: pd.DataFrame) -> pd.DataFrame:
    """One row a proxy: Spearman with each label set, the best mean over the sets first."""
    order = standing.mean(axis=1).sort_values(ascending=False, kind="stable").index
    return standing.loc[order].rename_axis("proxy").reset_index()


def proxies_table(frame: pd.DataFrame) -> Table:
    """The table of proxies."""
    caption = (
        "Spearman of published proxies with label sets over the same functions, those of `label-sets`, scores of each "
        "set's benchmark."
    )
    return Table(frame, caption, [words("proxy"), *(decimals(str(name), str(name)) for name in frame.columns[1:])])
