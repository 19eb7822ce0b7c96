"""The study of teachers as a table, from published scores: one row a proxy and teacher."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.read.scores import FOLDER
from analysis.stats.comparison import holm
from analysis.studies.teachers import Study, UnderTeacher, compared, published_scores
from analysis.typeset import Table, decimals, interval, whole, words
from bench.benchmarks import Benchmark
from bench.published import read_manifest
from common.shipped import here_or_shipped
from proxies.registry import create


@dataclass(frozen=True)
class Row:
    """One proxy under one teacher; NaN where nothing is known, all of it where no cell has a score.

    `over_default` is Spearman minus that under the benchmark's own teacher, with its paired interval and Holm's p over
    all rows. `moved` is Kendall with the ranking under the benchmark's own teacher, same students and seeds; `draw`
    that between two seeds under this teacher; both are means over seeds.
    """

    proxy: str
    teacher: str
    spearman: float
    low: float
    high: float
    over_default: float
    over_default_low: float
    over_default_high: float
    over_default_p: float
    moved: float
    draw: float
    labelled: int
    n: int
    seeds: int
    reason: str


def studies(setting: Benchmark, against: str, which: str, folder: Path = FOLDER) -> list[Study]:
    """Compare every proxy published with two teachers or more, each on the cells of a set that all of them score."""
    names = {str(entry["proxy"]) for entry in read_manifest(here_or_shipped(folder / setting.name)).values()}
    found = []
    for label in sorted({name.partition("@")[0] for name in names if "@" in name}):
        proxy = create(label)
        scores = published_scores(folder, setting, proxy)
        if len(scores.by_teacher) > 1:
            found.append(compared(scores, setting, proxy, which, against))
    return found


def rows(found: Sequence[Study]) -> list[Row]:
    """Turn the studies into rows, the benchmark's own teacher first in each."""
    gaps = [math.nan if each.gap is None else each.gap.p_value for study in found for each in study.teachers]
    corrected = iter(holm(np.array(gaps)))
    return [_row(study, each, float(next(corrected))) for study in found for each in study.teachers]


def _row(study: Study, each: UnderTeacher, p_holm: float) -> Row:
    first = study.teachers[0].teacher
    agreement = study.agreement.get((first, each.teacher))
    return Row(
        proxy=study.proxy,
        teacher=each.teacher,
        spearman=each.labels.spearman if each.labels else math.nan,
        low=each.labels.spearman_low if each.labels else math.nan,
        high=each.labels.spearman_high if each.labels else math.nan,
        over_default=each.gap.difference if each.gap else math.nan,
        over_default_low=each.gap.low if each.gap else math.nan,
        over_default_high=each.gap.high if each.gap else math.nan,
        over_default_p=p_holm,
        moved=agreement.kendall if agreement else math.nan,
        draw=each.between_seeds.kendall if each.between_seeds else math.nan,
        labelled=0 if each.reason else study.labelled,
        n=0 if each.reason else study.n,
        seeds=len(each.seeds),
        reason=each.reason,
    )


COLUMNS = (
    words("proxy"),
    words("teacher"),
    decimals("Spearman", "spearman"),
    interval("95 % interval", "low", "high"),
    decimals("minus default", "over_default", p="over_default_p"),
    decimals("moved", "moved"),
    decimals("draw", "draw"),
    whole("labelled"),
    whole("n"),
    whole("seeds"),
)


def frame(found: Sequence[Row]) -> pd.DataFrame:
    """One row a proxy and teacher."""
    return pd.DataFrame([vars(row) for row in found])


def table(frame: pd.DataFrame, where: str) -> Table:
    """The table; `where` begins the caption."""
    caption = (
        f"{where}: the same students before different teachers. Spearman of the mean over the seeds, 95 % bootstrap "
        "over functions. Starred: differs from the benchmark's own teacher (95 %, paired bootstrap over functions, "
        "Holm over all rows). Moved: Kendall with the ranking under the benchmark's own teacher, same seeds; draw: "
        "Kendall between two seeds under one teacher."
    )
    return Table(frame, caption, COLUMNS)
