"""How much the choice of cells moves a correlation: every proxy on all sets of cells that are in use."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.read.columns import label_cells
from analysis.read.labels import Labels
from analysis.read.scores import judged_columns, published
from analysis.stats.correlation import Correlation
from analysis.studies.correlate import judge
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
