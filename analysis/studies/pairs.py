"""Which proxy is better than which: every two of them, tested on the same cells."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.read.columns import label_cells
from analysis.read.labels import Labels
from analysis.stats.comparison import Difference, compare, spearman


def spearmans(columns: Mapping[str, pd.Series], labels: Labels, which: str) -> dict[str, float]:
    """Spearman of every proxy that scores all labelled cells of a set, highest first; `columns` are scores by cell."""
    labelled = label_cells(labels, which)
    complete = _complete(columns, labelled)
    known = {str(name): spearman(column.to_numpy(), labelled.to_numpy()) for name, column in complete.items()}
    order = sorted(known, key=lambda name: -np.nan_to_num(known[name], nan=-np.inf))
    return {name: known[name] for name in order}


def pairs(columns: Mapping[str, pd.Series], labels: Labels, which: str) -> list[Difference]:
    """The difference of every two proxies of `spearmans`: paired bootstrap over functions, Holm over all pairs
    (`comparison.compare`)."""
    labelled = label_cells(labels, which)
    order = list(spearmans(columns, labels, which))
    groups = np.array(labels.space.representatives("function"))[labelled.index.to_numpy(dtype=int)]
    return compare(_complete(columns, labelled)[order], labelled, groups)


def _complete(columns: Mapping[str, pd.Series], labelled: pd.Series) -> pd.DataFrame:
    """Scores [labelled cells, proxies] of the proxies that score all of the cells."""
    return pd.DataFrame({name: column.reindex(labelled.index) for name, column in columns.items()}).dropna(axis=1)
