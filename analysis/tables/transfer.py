"""Scores of other benchmarks, judged by the labels of one (`studies/labels/transfer.py`)."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.studies.labels.transfer import Transfer
from analysis.typeset import Table, decimals, estimated, whole, words

COLUMNS = (
    words("scores of", "scores_of"),
    words("proxy"),
    decimals("own scores", "own"),
    decimals("those scores", "other"),
    estimated("those - own", "over", "over_p"),
    whole("n"),
    whole("seeds"),
)


def frame(found: Sequence[Transfer]) -> pd.DataFrame:
    """One row a proxy and other benchmark."""
    return pd.DataFrame([_flat(one) for one in found])


def _flat(one: Transfer) -> dict[str, object]:
    over = one.over
    return {
        "scores_of": one.scores_of,
        "proxy": one.proxy,
        "own": one.own,
        "other": one.other,
        "over": over.difference,
        "over_low": over.low,
        "over_high": over.high,
        "over_p": over.p_holm,
        "n": over.n,
        "seeds": one.seeds,
    }


def table(frame: pd.DataFrame, where: str) -> Table:
    """The table; `where` begins the caption."""
    caption = (
        f"{where}: Spearman of this benchmark's own scores, and of scores of the same functions on another benchmark "
        "(other images, another size of network), both of the seeds and functions that both have [95 %, paired "
        "bootstrap over functions]. Starred: they differ (95 %, Holm over all proxies and benchmarks)."
    )
    return Table(frame, caption, COLUMNS)
