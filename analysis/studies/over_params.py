"""What proxies know beyond the number of parameters, on the cells that both score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.read.columns import BASELINE
from analysis.stats.comparison import Difference, over
from analysis.stats.ranking import partial_spearman
from analysis.studies.correlate import Result
from spaces.space import Space


class Beside(NamedTuple):
    """A `Beside` holds Spearman minus that of `BASELINE`, Holm's p over all named, and partial Spearman given it."""

    proxy: str
    over: Difference
    given: float


def beside(results: Sequence[Result], labels: pd.Series, space: Space) -> list[Beside]:
    """Compare every other result with the baseline's, which is among them. The bootstrap draws functions."""
    frame = pd.DataFrame({one.proxy: one.pairs["score"].reindex(labels.index) for one in results})
    groups = np.array(space.representatives("function"))[labels.index.to_numpy(dtype=int)]
    differences = over(BASELINE, frame, labels, groups)
    found = []
    for name, difference in differences.items():
        both = frame[[name, BASELINE]].assign(label=labels).dropna()
        score, size, label = (both[column].to_numpy() for column in (name, BASELINE, "label"))
        found.append(Beside(name, difference, partial_spearman(score, label, size)))
    order = [one.proxy for one in results]
    return sorted(found, key=lambda one: order.index(one.proxy))
