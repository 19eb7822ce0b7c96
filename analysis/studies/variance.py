"""What a proxy's ranking is made of: the cell, and the luck of weights, images and initialisation.

Read are the crossings under `results/crossings/` (`python -m bench crossing`). Scores are ranked within each
combination of the three, because a benchmark ranks cells that share them, so that a shift of all cells is no noise.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.stats.variance import variance_shares
from analysis.typeset import Table
from analysis.typeset import write as write_table
from bench.measure.crossing import FOLDER, read


@dataclass(frozen=True)
class Shares:
    """Shares of the variance of a proxy's ranks (`statistics.variance_shares`), over the n cells with all scores.

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
    """Of every proxy of a crossing, the largest share of the cell first."""
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


HEAD = ("proxy", "cell", "weights", "images", "rest", "n", "cell", "weights", "images", "init", "rest", "failed")


def write(benchmark: str, output: Path, folder: Path = FOLDER) -> list[Path]:
    """`variance-<benchmark>` as CSV, Markdown and LaTeX; nothing where there is no crossing of the benchmark."""
    crossing = folder / f"{benchmark}.csv.gz"
    if not crossing.is_file():
        return []
    rows, made = read(crossing)
    found = shares(rows)
    path = output / f"variance-{benchmark}"
    frame = pd.DataFrame([asdict(one) for one in found])
    caption = (
        f"{benchmark}: shares of the variance of a proxy's ranks, in percent; {made['sample']} functions x "
        f"{made['draws']} draws of weights x {made['draws']} of images. First under the proxy's own initialisation, "
        f"then over that and another one (`init`: PyTorch's default or Kaiming). `cell`: what one score tells."
    )
    return write_table(path, frame, Table(caption, HEAD, [_row(one) for one in found]))


def _row(one: Shares) -> list[str]:
    def said(*values: float) -> list[str]:
        return ["–" if np.isnan(value) else f"{100 * value:.0f}" for value in values]

    return [
        one.proxy,
        *said(one.cell_own, one.weights_own, one.images_own, one.rest_own),
        str(one.n),
        *said(one.cell, one.weights, one.images, one.init, one.rest),
        str(one.failed),
    ]
