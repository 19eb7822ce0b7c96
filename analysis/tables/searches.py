"""What searches have found as a table, ours measured beside those that DisWOT's paper reports."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.read.reported import DISWOT_SEARCHES
from analysis.studies.searches import Judged, Mean
from analysis.typeset import Table, between, number
from analysis.typeset import write as write_table

HEAD = (
    "objective",
    "method",
    "within",
    "seeds",
    "searches",
    "labelled",
    "accuracy, %",
    "95 % interval",
    "vanilla, %",
    "regret",
    "rank",
    "evaluations",
    "seconds",
    "speed-up",
)


def write(found: Sequence[Judged], path: Path, where: str, against: str = "distilled") -> list[Path]:
    """`path` with the endings .csv, .md and .tex; `where` begins the caption, `against` is what accuracies are."""
    ordered = sorted(found, key=lambda one: -_or_least(one.accuracy.mean))
    ranked = ", ".join(sorted({f"{one.ranked:,}" for one in ordered}))
    caption = (
        f"{where}: students found by searching, by {against} accuracy, best first; mean ± standard deviation over "
        "searches of other randomness, Student's 95 %. Seeds: of the scores or trainings that were searched by. "
        "Labelled: searches whose answer was trained; the accuracies, regret and rank are theirs. Regret: points of "
        "accuracy below the best label that the search could have answered, a label that was picked for being high; "
        f"rank: the answer's place among {ranked} functions of the sample. Seconds: all passes or trainings that a "
        "search asks for, had nothing been there before, on one thread; speed-up: over random search by distilled "
        "accuracy, with as many seeds within the same functions where there is one. Reported: DisWOT's paper on "
        "NAS-Bench-201 and CIFAR-100, without deviations; its data, recipe and hardware are others, so the order in "
        "that part can be held against ours, the numbers cannot."
    )
    rows = [
        [
            one.objective,
            one.method,
            one.within,
            str(one.seeds),
            str(one.searches),
            str(one.searches - one.unlabelled),
            _spread(one.accuracy),
            between(one.accuracy.low, one.accuracy.high),
            _spread(one.vanilla),
            _spread(one.regret),
            number(one.rank.mean, 0),
            f"{one.evaluations:,.0f}",
            _seconds(one.seconds),
            number(one.speedup, 1),
        ]
        for one in ordered
    ]
    rows += [
        ["reported", one.method, "", "", "", "", number(one.accuracy), "", "", "", "", "", _seconds(one.seconds), ""]
        for one in DISWOT_SEARCHES
    ]
    everything = pd.DataFrame([_flat(one) for one in ordered])
    return write_table(path, everything, Table(caption, HEAD, rows, words=3))


def _or_least(value: float) -> float:
    """What has no accuracy comes last."""
    return -math.inf if math.isnan(value) else value


def _spread(mean: Mean) -> str:
    return number(mean.mean) + (f" ± {number(mean.sd)}" if math.isfinite(mean.sd) else "")


def _seconds(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else number(value, 1)


def _flat(one: Judged) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for field in fields(one):
        value = getattr(one, field.name)
        if isinstance(value, Mean):
            flat |= {f"{field.name}_{part}" if part != "mean" else field.name: x for part, x in value._asdict().items()}
        else:
            flat[field.name] = value
    return flat
