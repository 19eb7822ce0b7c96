"""Which proxy is better than which (`studies/pairs.py`): every pair in the CSV file, a row a proxy on pages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields

import pandas as pd

from analysis.stats.comparison import Difference
from analysis.typeset import SURE, Table, decimals, whole, words

COLUMNS = (
    words("proxy"),
    decimals("Spearman", "spearman"),
    whole("better than", "better"),
    whole("worse than", "worse"),
    whole("not told apart", "alike"),
)


def frame(found: Sequence[Difference]) -> pd.DataFrame:
    """One row a pair."""
    return pd.DataFrame([asdict(one) for one in found], columns=[field.name for field in fields(Difference)])


def table(frame: pd.DataFrame, spearman: Mapping[str, float], where: str) -> Table:
    """The table; `spearman` is a proxy's, by name, where it is known; `where` begins the caption."""
    names = dict.fromkeys([*frame["a"], *frame["b"]])  # the order of the pairs: the best first
    others = len(names) - 1
    tally = {name: {"proxy": name, "spearman": spearman.get(name, math.nan), "better": 0, "worse": 0} for name in names}
    for row in frame.to_dict("records"):
        if row["p_holm"] < SURE:
            first, second = (row["a"], row["b"]) if row["difference"] > 0 else (row["b"], row["a"])
            tally[first]["better"] += 1
            tally[second]["worse"] += 1
    for one in tally.values():
        one["alike"] = others - one["better"] - one["worse"]
    cells = frame["n"].iloc[0] if len(frame) else 0
    caption = (
        f"{where}: how many of the {others} others a proxy ranks better than, worse than, and cannot be told "
        f"apart from, on the {cells:,} labelled cells that all of them score (95 %, paired "
        f"bootstrap over functions, Holm over all {len(frame):,} pairs)."
    )
    return Table(frame, caption, COLUMNS, pd.DataFrame([*tally.values()]))
