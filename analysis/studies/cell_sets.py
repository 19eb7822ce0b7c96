"""How much the choice of cells moves a correlation: every proxy on all sets of cells that are in use."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.read.columns import label_cells
from analysis.read.labels import Labels
from analysis.read.scores import judged_columns, published
from analysis.stats.correlation import Correlation
from analysis.studies.correlate import judge
from analysis.typeset import Table, estimate
from analysis.typeset import write as write_table
from bench.benchmarks import Benchmark


@dataclass(frozen=True)
class OnSets:
    """A proxy's correlation on each set of cells, failed ones left out."""

    proxy: str
    on: dict[str, Correlation]


def on_sets(folder: Path, setting: Benchmark, labels: Labels) -> list[OnSets]:
    """Published proxies that were tried on the labelled cells of every set, the highest Spearman on the first first.

    A label holds for all cells of its function, and the bootstrap draws functions, whatever the set.
    """
    tables = published(folder, setting.name)
    found: dict[str, dict[str, Correlation]] = {}
    sets = setting.space.sets
    for which in sets:
        labelled = label_cells(labels, which)
        for name, column in judged_columns(tables, setting, which).items():
            if labelled.index.isin(column.index).all():
                found.setdefault(name, {})[which] = judge(name, [], column, labelled, setting.space).correlation
    complete = [OnSets(name, on) for name, on in found.items() if len(on) == len(sets)]
    return sorted(complete, key=lambda one: -np.nan_to_num(one.on[sets[0]].spearman, nan=-math.inf))


def write(found: list[OnSets], path: Path, where: str) -> list[Path]:
    """`path` with the endings .csv, .md and .tex; `where` begins the caption."""
    sets = list(found[0].on) if found else []
    sizes = {which: max(one.on[which].n for one in found) for which in sets}
    caption = (
        f"{where}: Spearman on the labelled cells of each set, [95 %, bootstrap over functions], of the proxies that "
        f"were tried on all of them. Cells: {', '.join(f'{n:,} {name}' for name, n in sizes.items())}."
    )
    everything = [{"proxy": one.proxy, "set": which, **asdict(each)} for one in found for which, each in one.on.items()]
    rows = [
        [one.proxy, *(estimate(on.spearman, on.spearman_low, on.spearman_high) for on in one.on.values())]
        for one in found
    ]
    return write_table(path, pd.DataFrame(everything), Table(caption, ["proxy", *sets], rows))
