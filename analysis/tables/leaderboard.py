"""Leaderboards: every published proxy of a benchmark (`studies/leaderboard.py`), judged by one kind of label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from analysis.studies.leaderboard import Line
from analysis.typeset import Table, decimals, interval, whole, words

NOTE = (
    "Starred: differs from params (95 %, paired bootstrap over functions, Holm over all proxies). "
    "The interval is over functions, and beside it over functions and seeds; corrected: for the labels' noise. "
    "Failed last: Spearman with the failed cells ranked last, where there are any. Cost: forward passes a cell."
)
COLUMNS = (
    words("proxy"),
    decimals("Spearman", "spearman"),
    interval("95 % interval", "spearman_low", "spearman_high"),
    interval("seeds drawn too", "seeds_low", "seeds_high"),
    decimals("corrected", "corrected"),
    decimals("failed last", "spearman_worst"),
    decimals("Kendall", "kendall"),
    decimals("weighted", "weighted_kendall"),
    decimals("top 10 %", "top10"),
    decimals("top 20 %", "top20"),
    decimals("P@10 %", "precision10"),
    decimals("regret@10", "regret10"),
    decimals("nDCG@100", "ndcg100"),
    decimals("given params", "given_params"),
    decimals("over params", "over_params", p="over_params_p"),
    whole("n"),
    whole("failed"),
    whole("seeds"),
    decimals("cost", "forwards"),
)


def frame(found: Sequence[Line]) -> pd.DataFrame:
    """One row a proxy, a column a field of `Line`."""
    return pd.DataFrame([asdict(line) for line in found])


def table(frame: pd.DataFrame, caption: str) -> Table:
    """The leaderboard; `caption` says what was judged by what."""
    return Table(frame, f"{caption} {NOTE}", COLUMNS)
