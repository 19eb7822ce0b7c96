"""Which proxy is better than which: every two of them, tested on the same cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.read.columns import label_cells
from analysis.read.labels import Labels
from analysis.read.scores import judged_columns, published
from analysis.stats.comparison import Difference, compare, spearman
from analysis.typeset import Table, number
from analysis.typeset import write as write_table
from bench.benchmarks import Benchmark

SURE = 0.05


def pairs(folder: Path, setting: Benchmark, labels: Labels, which: str) -> tuple[dict[str, float], list[Difference]]:
    """Spearman of the published proxies that score every labelled cell of a set, the highest first, and the differences
    of every two of them: paired bootstrap over functions, Holm over all pairs (`comparison.compare`)."""
    labelled = label_cells(labels, which)
    columns = judged_columns(published(folder, setting.name), setting, which)
    frame = pd.DataFrame({name: column.reindex(labelled.index) for name, column in columns.items()}).dropna(axis=1)
    known = {str(name): spearman(column.to_numpy(), labelled.to_numpy()) for name, column in frame.items()}
    order = sorted(known, key=lambda name: -np.nan_to_num(known[name], nan=-np.inf))
    groups = np.array(setting.space.representatives("function"))[labelled.index.to_numpy(dtype=int)]
    return {name: known[name] for name in order}, compare(frame[order], labelled, groups)


def write(known: dict[str, float], found: Sequence[Difference], path: Path, where: str) -> list[Path]:
    """`path` with the endings .csv (every pair), .md and .tex (a row a proxy); `where` begins the caption."""
    better, worse = dict.fromkeys(known, 0), dict.fromkeys(known, 0)
    for one in found:
        if one.p_holm < SURE:
            first, second = (one.a, one.b) if one.difference > 0 else (one.b, one.a)
            better[first] += 1
            worse[second] += 1
    caption = (
        f"{where}: how many of the {len(known) - 1} others a proxy ranks better than, worse than, and cannot be told "
        f"apart from, on the {found[0].n if found else 0:,} labelled cells that all of them score (95 %, paired "
        f"bootstrap over functions, Holm over all {len(found):,} pairs)."
    )
    rows = [
        [name, number(rho), str(better[name]), str(worse[name]), str(len(known) - 1 - better[name] - worse[name])]
        for name, rho in known.items()
    ]
    head = ["proxy", "Spearman", "better than", "worse than", "not told apart"]
    return write_table(path, pd.DataFrame([asdict(one) for one in found]), Table(caption, head, rows))
