"""What a proxy's ranking is made of: the cell, and the luck of weights, images and initialisation.

Read are the crossings under `results/crossings/` (`python -m bench crossing`). Scores are ranked within each
combination of the three, because a benchmark ranks cells that share them, so that a shift of all cells is no noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.stats.variance import variance_shares


@dataclass(frozen=True)
class Shares:
    """A `Shares` splits the variance of a proxy's ranks over the n cells with all scores (`variance_shares`).

    `cell` is what a single score tells of the cell; `weights`, `images` and `init` how much the ranking depends on each
    by itself, their interactions with the cell; `rest` what only two or three of them together decide. `cell_own`,
    `weights_own`, `images_own` and `rest_own` are the same under the proxy's own initialisation alone. NaN where
    fewer than three cells remain or the ranks never differ.
    """

    proxy: str
    n: int
    failed: int
    cell: float
    weights: float
    images: float
    init: float
    rest: float
    cell_own: float
    weights_own: float
    images_own: float
    rest_own: float


def shares(rows: pd.DataFrame) -> list[Shares]:
    """Split the variance of every proxy of a crossing; the largest share of the cell comes first."""
    found = [_shares(str(proxy), of_proxy) for proxy, of_proxy in rows.groupby("proxy", sort=True)]
    return sorted(found, key=lambda one: -np.nan_to_num(one.cell_own, nan=-1))


def _shares(proxy: str, rows: pd.DataFrame) -> Shares:
    own = rows["init"].iloc[0]  # written first
    table = rows.pivot(index="cell", columns=["init", "weights", "images"], values="score")
    complete = table.dropna()
    ranks = complete.rank()
    both = _split(ranks)
    alone = _split(ranks[[own]])
    return Shares(
        proxy,
        len(complete),
        int(rows["score"].isna().sum()),
        **both,
        **{f"{name}_own": share for name, share in alone.items() if name != "init"},
    )


def _split(ranks: pd.DataFrame) -> dict[str, float]:
    """Of ranks [cells, inits x weights x images]."""
    sizes = [len(level) for level in ranks.columns.remove_unused_levels().levels]
    crossed = ranks.sort_index(axis=1).to_numpy().reshape(len(ranks), *sizes)
    names = ["cell", "init", "weights", "images"]
    if sizes[0] == 1:
        crossed, names = crossed[:, 0], [name for name in names if name != "init"]
    found = variance_shares(crossed, names)
    named = {name: found.get(f"cell x {name}", 0.0) for name in ("weights", "images", "init")}
    rest = float(np.maximum(sum(found.values()) - found["cell"] - sum(named.values()), 0))  # rounding; NaN stays
    return {"cell": found["cell"], **named, "rest": rest}
