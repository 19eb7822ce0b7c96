"""Published scores, `results/scores/`, and what else is judged beside them: read without the store that made them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from analysis.correlate import BASELINES
from bench.benchmarks import Benchmark
from bench.export import read_manifest
from bench.plan import select
from common.errors import BadInput
from proxies import registry
from proxies.base import Population
from spaces.nb201 import cell_at

FOLDER = Path("results/scores")


def published(folder: Path, benchmark: str) -> dict[str, pd.DataFrame]:
    """Score by cell (rows) and seed (columns) of every published proxy, of cells tried with every seed; NaN is none.

    Raises BadInput.
    """
    found = {}
    for name, entry in read_manifest(folder / benchmark).items():
        if "@" in entry["proxy"]:  # another teacher's
            continue
        path = folder / benchmark / name
        try:
            rows = pd.read_csv(path)
            tried = rows.pivot(index="cell", columns="seed", values="status").notna().all(axis=1)
            scores = rows.pivot(index="cell", columns="seed", values="score")
            found[str(entry["proxy"])] = scores[tried]
        except (OSError, ValueError, KeyError) as error:
            raise BadInput(f"cannot read {path} ({error}): restore it, or export again") from error
    return found


def combined(population: Population, means: Mapping[str, pd.Series], cells: list[int]) -> pd.Series:
    """A population's score of those `cells` that have a mean score of every part, ranked among themselves."""
    parts = [proxy.label for proxy in registry.parts(population)]
    columns = pd.DataFrame({part: means[part] for part in parts}).reindex(cells).dropna()
    return population.combine(columns)


def judged_columns(tables: Mapping[str, pd.DataFrame], setting: Benchmark, which: str) -> dict[str, pd.Series]:
    """By name the scores, means over the seeds, of the cells of a set: what is published, populations of which all
    parts are, and the baselines from closed forms. NaN where a seed has no score."""
    means = {label: table.mean(axis=1, skipna=False) for label, table in tables.items()}
    cells = sorted(select(which))
    found = {label: mean[mean.index.isin(cells)] for label, mean in means.items()}
    for population in (cls() for cls in registry.populations().values()):
        if {part.label for part in registry.parts(population)} <= set(means):
            found[population.label] = combined(population, means, cells)
    for name, count in BASELINES.items():
        if name not in means:
            found[name] = pd.Series({cell: float(count(cell_at(cell), setting.skeleton)) for cell in cells})
    return found
