"""Every published proxy of a benchmark, judged by one accuracy table: the rows of a leaderboard.

Read are the scores under `results/scores/` and the accuracies, so that a table can be made again without scoring.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from analysis.correlate import BASELINES, judge, label_cells
from analysis.labels import Labels
from bench.benchmarks import Benchmark
from bench.export import read_manifest
from bench.plan import select
from common.errors import BadInput
from common.files import write_whole
from proxies import registry
from proxies.base import Population, Proxy
from spaces.nb201 import cell_at

SCORES = Path("results/scores")
TABLES = Path("results/tables")


@dataclass(frozen=True)
class Line:
    """One proxy. `scored` and `failed` count cells of the benchmark, `n` those of the set that have a label too."""

    proxy: str
    family: str
    kendall: float
    spearman: float
    spearman_low: float
    spearman_high: float
    pearson: float
    n: int
    coverage: float
    scored: int
    failed: int
    seeds: int


def published(folder: Path, benchmark: str) -> dict[str, pd.DataFrame]:
    """Score by cell (rows) and seed (columns) of every published proxy; NaN is no score. Raises BadInput."""
    found = {}
    for name, entry in read_manifest(folder / benchmark).items():
        if "@" in entry["proxy"]:  # another teacher's
            continue
        path = folder / benchmark / name
        try:
            rows = pd.read_csv(path)
            found[str(entry["proxy"])] = rows.pivot(index="cell", columns="seed", values="score")
        except (OSError, ValueError, KeyError) as error:
            raise BadInput(f"cannot read {path} ({error}): restore it, or export again") from error
    return found


def combined(population: Population, means: Mapping[str, pd.Series], cells: list[int]) -> pd.Series:
    """A population's score of those `cells` that have a mean score of every part, ranked among themselves."""
    parts = [proxy.label for proxy in registry.parts(population)]
    columns = pd.DataFrame({part: means[part] for part in parts}).reindex(cells).dropna()
    return population.combine(columns)


def lines(folder: Path, benchmark: Benchmark, labels: Labels, which: str) -> list[Line]:
    """Published proxies, populations of which all parts are, and the baselines; the highest Spearman first."""
    tables = published(folder, benchmark.name)
    labelled = label_cells(labels, which)
    means = {label: table.mean(axis=1, skipna=False) for label, table in tables.items()}
    proxies: dict[str, Proxy | Population] = {label: registry.create(label) for label in tables}
    for population in (cls() for cls in registry.populations().values()):
        if {proxy.label for proxy in registry.parts(population)} <= set(tables):
            proxies[population.label] = population
            means[population.label] = combined(population, means, select(which))
    for name, count in BASELINES.items():
        if name not in tables:
            proxies[name] = registry.create(name)
            means[name] = pd.Series({cell: float(count(cell_at(cell), benchmark.skeleton)) for cell in labelled.index})
    found = [_line(proxy, means[label], tables.get(label), labelled) for label, proxy in proxies.items()]
    return sorted(found, key=lambda line: -math.inf if math.isnan(line.spearman) else line.spearman, reverse=True)


def _line(proxy: Proxy | Population, mean: pd.Series, table: pd.DataFrame | None, labelled: pd.Series) -> Line:
    result = judge(proxy.label, [], mean, labelled)
    correlation = asdict(result.correlation)
    n = correlation.pop("n")
    return Line(
        proxy=proxy.label,
        family=proxy.family,
        **correlation,
        n=n,
        coverage=result.coverage,
        scored=int(mean.notna().sum()),
        failed=int(mean.isna().sum()),
        seeds=0 if table is None else table.shape[1],
    )


def write(found: list[Line], path: Path) -> None:
    """As CSV, three decimals."""
    frame = pd.DataFrame([asdict(line) for line in found]).round(4)
    write_whole(path, frame.to_csv(index=False, lineterminator="\n").encode())
