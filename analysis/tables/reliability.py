"""What labels say of themselves (`studies/reliability.py`) as a table: a fact a line, a kind of label a column."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from analysis.studies.reliability import KS, QUANTILES, Report
from analysis.typeset import Table, estimate, number
from analysis.typeset import write as write_table

KINDS = ("vanilla", "distilled", "gain")


def everything(found: Report) -> pd.DataFrame:
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


def write(found: Report, path: Path, where: str) -> list[Path]:
    """`path` with the endings .csv, .md and .tex; `where` begins the caption."""
    frame = everything(found)
    by_kind = frame.set_index("labels")

    def line(name: str, column: str, digits: int = 2) -> list[str]:
        return [name, *(_said(by_kind, kind, column, digits) for kind in KINDS)]

    rows = [
        line("classes with all seeds", "classes", 0),
        line("seeds", "seeds", 0),
        line("Kendall, two seeds", "kendall"),
        line("Spearman, two seeds", "spearman"),
        line("its p, permutations", "p", 4),
        *(line(f"reliability of the mean of {k}", f"reliability_{k}") for k in KS),
        *(line(f"ceiling, mean of {k}", f"ceiling_{k}") for k in KS),
        line("Kendall with vanilla", "kendall_vanilla"),
        line("Spearman with vanilla", "spearman_vanilla"),
        line("the same, corrected for attenuation", "corrected_vanilla"),
        line("mean, points", "mean"),
        line("standard deviation, points", "sd"),
        *(line(f"{q} % quantile, points", f"quantile_{q}") for q in QUANTILES),
        line("share above 0", "positive"),
    ]
    caption = (
        f"{where}: how far labels agree with themselves. Reliability of a mean over seeds by Spearman-Brown, its root "
        "the ceiling: Spearman of a proxy that knew the true ranking. In brackets 95 %, bootstrap over functions."
    )
    return write_table(path, frame, Table(caption, ["", *KINDS], [row for row in rows if set(row[1:]) != {"–"}]))


def _said(by_kind: pd.DataFrame, kind: str, column: str, digits: int) -> str:
    """A dash where there is none, with its interval where that is known."""
    value = by_kind[column].get(kind, math.nan) if column in by_kind else math.nan
    if f"{column}_low" in by_kind and math.isfinite(value):
        return estimate(value, by_kind.at[kind, f"{column}_low"], by_kind.at[kind, f"{column}_high"], digits)
    return number(value, digits)
