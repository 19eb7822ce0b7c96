"""What a ranking is learned from: choices, graphs, and the ranks that every published proxy gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from search.learners import choice_features
from spaces.space import Space

FEATURES = ("operations", "graph", "proxies", "all")
"""`operations`: one-hot and counted; `graph`: these, and what can be read off the graph; `proxies`: ranks by every
published score; `all` is all of it."""
WITHOUT_SCORES = FEATURES[:2]
"""What needs no score."""


def features(name: str, space: Space, columns: Mapping[str, pd.Series], cells: Sequence[int]) -> np.ndarray:
    """Features [m, d] of these cells. `columns` are scores by cell, those of a failed cell NaN: it ranks last.

    Ranks are among all cells of a column, shares of their number. Of a cell that a proxy was not tried on, as of one
    that has no graph, nothing is known: its features are NaN, which no learner takes.
    """
    parts = []
    if name != "proxies":
        parts.append(choice_features(tuple(map(len, space.choices)), [space.chosen(cell) for cell in cells]))
    if name in ("graph", "all"):
        parts.append(pd.DataFrame([space.graph_features(cell) for cell in cells]).to_numpy(dtype=float))
    if name in ("proxies", "all"):
        ranks = {label: column.rank(pct=True, na_option="top") for label, column in columns.items()}
        parts.append(pd.DataFrame(ranks).reindex(cells).to_numpy(dtype=float))
    return np.concatenate(parts, axis=1)
