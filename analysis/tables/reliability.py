"""What labels say of themselves (`studies/labels/reliability.py`): a fact a line, a kind of label a column."""

from __future__ import annotations

import math

import pandas as pd

from analysis.studies.labels.reliability import KS, QUANTILES, Report
from analysis.typeset import Column, Row, Table, with_interval, words

KINDS = ("vanilla", "distilled", "gain")


def frame(found: Report) -> pd.DataFrame:
    """One row a kind of label; empty where a fact is not of that kind.

    `reliability_k` and `ceiling_k` are those of the mean of k seeds; `kendall_vanilla` and the like are of distilled
    with vanilla accuracy, `corrected_vanilla` Spearman corrected for attenuation; mean, deviation and quantiles are in
    points, `positive` is the share of classes whose gain is above 0.
    """
    return pd.DataFrame([{"labels": kind, **_facts(found, kind)} for kind in KINDS])


def _facts(found: Report, kind: str) -> dict[str, float]:
    facts: dict[str, float] = {}
    own = found.reliability[kind]
    if own is not None:
        sure = found.certainty[kind]
        facts |= {"classes": own.cells, "seeds": own.seeds, "kendall": own.kendall, "spearman": own.spearman}
        facts |= {"spearman_low": sure.low, "spearman_high": sure.high, "p": sure.p}
        facts |= {f"reliability_{k}": own.of_mean(k) for k in KS}
        facts |= {f"ceiling_{k}": own.ceiling_of_mean(k) for k in KS}
    if kind == "distilled":
        both = found.agreement
        facts |= {
            "classes_vanilla": both.observed.n,
            "kendall_vanilla": both.observed.kendall,
            "kendall_vanilla_low": both.kendall_low,
            "kendall_vanilla_high": both.kendall_high,
            "spearman_vanilla": both.observed.spearman,
            "spearman_vanilla_low": both.observed.spearman_low,
            "spearman_vanilla_high": both.observed.spearman_high,
            "corrected_vanilla": both.true,
            "corrected_vanilla_low": both.true_low,
            "corrected_vanilla_high": both.true_high,
        }
    if kind == "gain":
        gain = found.gain
        facts |= {"classes_gain": gain.n, "mean": gain.mean, "mean_low": gain.low, "mean_high": gain.high}
        facts |= {"sd": gain.sd, **{f"quantile_{q}": gain.quantiles[q] for q in QUANTILES}, "positive": gain.positive}
    return facts


_FACTS = (
    ("classes with all seeds", "classes", 0),
    ("seeds", "seeds", 0),
    ("Kendall, two seeds", "kendall", 2),
    ("Spearman, two seeds", "spearman", 2),
    ("its p, permutations", "p", 4),
    *((f"reliability of the mean of {k}", f"reliability_{k}", 2) for k in KS),
    *((f"ceiling, mean of {k}", f"ceiling_{k}", 2) for k in KS),
    ("Kendall with vanilla", "kendall_vanilla", 2),
    ("Spearman with vanilla", "spearman_vanilla", 2),
    ("the same, corrected for attenuation", "corrected_vanilla", 2),
    ("mean, points", "mean", 2),
    ("standard deviation, points", "sd", 2),
    *((f"{q} % quantile, points", f"quantile_{q}", 2) for q in QUANTILES),
    ("share above 0", "positive", 2),
)
"""What a row says, the frame's column that it is, and its decimals."""


def table(frame: pd.DataFrame, where: str) -> Table:
    """The table, a row a fact that is known and a column a kind of label; `where` begins the caption."""
    by_kind = frame.set_index("labels")
    rows = [_row(by_kind, *fact) for fact in _FACTS if fact[1] in by_kind and by_kind[fact[1]].notna().any()]
    caption = (
        f"{where}: how far labels agree with themselves. Reliability of a mean over seeds by Spearman-Brown, its root "
        "the ceiling: Spearman of a proxy that knew the true ranking. In brackets 95 %, bootstrap over functions."
    )
    return Table(frame, caption, [words("", "fact"), *map(_column, KINDS)], pd.DataFrame(rows))


def _row(by_kind: pd.DataFrame, name: str, column: str, digits: int) -> dict[str, object]:
    """A fact of every kind of label, with its interval where it has one."""
    row: dict[str, object] = {"fact": name, "digits": digits}
    for kind in KINDS:
        for ending in ("", "_low", "_high"):
            row[kind + ending] = by_kind[column + ending].get(kind) if column + ending in by_kind else math.nan
    return row


def _column(kind: str) -> Column:
    def said(row: Row) -> str:
        return with_interval(row[kind], row[f"{kind}_low"], row[f"{kind}_high"], row["digits"])

    return Column(kind, said, kind)
