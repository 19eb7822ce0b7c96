"""What searches have found (`studies/searches.py`), ours measured beside those that DisWOT's paper reports."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import pandas as pd

from analysis.read.reported import DISWOT_SEARCHES
from analysis.studies.searches import Judged, Mean
from analysis.typeset import Column, Row, Table, decimals, interval, number, whole, with_spread, words

REPORTED = "reported"
"""What stands in place of an objective in rows that a paper prints."""


def _ours(column: Column) -> Column:
    """A column that says nothing in the rows that a paper prints."""
    return replace(column, said=lambda row: "" if row["objective"] == REPORTED else column.said(row))


def _seconds(row: Row) -> str:
    seconds = row["seconds"]
    return f"{seconds:,.0f}" if seconds >= 10 else number(seconds, 1)


COLUMNS = (
    words("objective"),
    words("method"),
    words("within"),
    *map(_ours, (whole("seeds"), whole("searches"), whole("labelled"))),
    with_spread("accuracy, %", "accuracy", "accuracy_sd"),
    *map(
        _ours,
        (
            interval("95 % interval", "accuracy_low", "accuracy_high"),
            with_spread("vanilla, %", "vanilla", "vanilla_sd"),
            with_spread("regret", "regret", "regret_sd"),
            decimals("rank", "rank", 0),
            whole("evaluations", thousands=True),
            whole("asks", "asked", thousands=True),
        ),
    ),
    Column("seconds", _seconds, "seconds"),
    _ours(decimals("speed-up", "speedup", 1)),
)


def frame(found: Sequence[Judged]) -> pd.DataFrame:
    """One row a method and objective of ours, the best accuracy first."""
    ordered = sorted(found, key=lambda one: math.inf if math.isnan(one.accuracy.mean) else -one.accuracy.mean)
    return pd.DataFrame([_flat(one) for one in ordered])


def _flat(one: Judged) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for field in fields(one):
        value = getattr(one, field.name)
        if isinstance(value, Mean):
            flat |= {f"{field.name}_{part}" if part != "mean" else field.name: x for part, x in value._asdict().items()}
        else:
            flat[field.name] = value
    return flat


def table(frame: pd.DataFrame, where: str, against: str = "distilled") -> Table:
    """The table, the paper's rows last; `where` begins the caption, `against` is what accuracies are."""
    ranked = ", ".join(sorted({f"{count:,}" for count in frame["ranked"]}))
    caption = (
        f"{where}: students found by searching, by {against} accuracy, best first; mean ± standard deviation over "
        "searches of other randomness, Student's 95 %. Seeds: of the scores or trainings that were searched by. "
        "Labelled: searches whose answer was trained; the accuracies, regret and rank are theirs. Regret: points of "
        "accuracy below the best label that the search could have answered, a label that was picked for being high; "
        f"rank: the answer's place among {ranked} functions of the sample. Asks: cells that a search asked for, those "
        "that it knew already, or that were no choice, too. Seconds: all passes or trainings that a "
        "search asks for, had nothing been there before, on one thread; speed-up: over random search by distilled "
        "accuracy, with as many seeds within the same functions where there is one. Reported: DisWOT's paper on "
        "NAS-Bench-201 and CIFAR-100, without deviations; its data, recipe and hardware are others, so the order in "
        "that part can be held against ours, the numbers cannot."
    )
    reported = pd.DataFrame([{"objective": REPORTED, **one._asdict()} for one in DISWOT_SEARCHES])
    lines = pd.concat([frame.assign(labelled=frame["searches"] - frame["unlabelled"]), reported])
    return Table(frame, caption, COLUMNS, lines)
