"""Join stored scores with labels and say how well the one ranks the other."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.read.columns import (
    BASELINES,
    combined_scores,
    counted,
    mean_scores,
)
from analysis.stats import ranking
from analysis.stats.correlation import Correlation, correlate
from bench.benchmarks import Benchmark
from bench.identity import name_of
from bench.plan import select_of
from common.errors import BadInput
from proxies import registry
from proxies.base import Population, Proxy
from spaces.space import Space


@dataclass(frozen=True)
class Result:
    """A proxy's correlation with the labels, and the pairs it was computed from (index: cell)."""

    proxy: str
    seeds: list[int]
    coverage: float
    """Share of the set's labelled cells that the correlation was computed from."""
    correlation: Correlation
    """Without the cells that failed (`ranking.prepare`, policy `drop`)."""
    pairs: pd.DataFrame
    failed: int = 0
    """Labelled cells that were tried and have no score."""
    worst: Correlation | None = None
    """With the cells that failed ranked last, on which Pearson has no meaning; None where none failed."""
    scored: int = 0
    """Cells that have a score, labelled or not, in the set or out of it."""

    @property
    def constant(self) -> str:
        """Why there is no correlation; empty where there is one."""
        if self.pairs["score"].nunique() == 1:
            score = self.pairs["score"].iloc[0]
            return f"{self.proxy} gives all {len(self.pairs)} cells the score {score:g}, which ranks nothing"
        return "all accuracies are equal, which leaves nothing to rank" if self.pairs["label"].nunique() == 1 else ""


def _population_name(population: Population, benchmark: Benchmark, files: tuple[Path, ...]) -> str:
    """With the teacher's name, as its parts have it."""
    teachers = {name_of(part, benchmark).removeprefix(part.label) for part in registry.parts(population, files)}
    return population.label + max(teachers)


def judge(proxy: str, seeds: list[int], scores: pd.Series, labels: pd.Series, space: Space) -> Result:
    """Correlate scores by cell with labels by cell; a score that is not finite is none.

    Raises BadInput where fewer than three cells have both.
    """
    finite = scores.replace([math.inf, -math.inf], math.nan).reindex(labels.index)
    tried = pd.DataFrame({"score": finite, "label": labels})[labels.index.isin(scores.index)]
    pairs = tried.dropna()
    if len(pairs) < 3:
        raise BadInput(
            f"{proxy}: only {len(pairs)} labelled cells of this set have a score: score more cells, `--cells labelled` "
            "are those that have a label"
        )
    failed, known = len(tried) - len(pairs), scores.replace([math.inf, -math.inf], math.nan).dropna()
    worst = _correlation(tried, "worst", space) if failed else None
    return Result(
        proxy, seeds, len(pairs) / len(labels), _correlation(tried, "drop", space), pairs, failed, worst, len(known)
    )


def _correlation(tried: pd.DataFrame, policy: ranking.Policy, space: Space) -> Correlation:
    prepared = ranking.prepare(tried["score"].to_numpy(), tried["label"].to_numpy(), policy)
    cells = tried.index.to_numpy(dtype=int)[prepared.kept]
    found = correlate(prepared.scores, prepared.accuracies, np.array(space.representatives("function"))[cells])
    return found if policy == "drop" else replace(found, pearson=math.nan)


def results(
    store: Path,
    benchmark: Benchmark,
    proxies: Sequence[Proxy | Population],
    labels: pd.Series,
    which: str,
    files: tuple[Path, ...] = (),
    wanted: Collection[int] | None = None,
) -> list[Result]:
    """The proxies in the order given, then the baselines, these on the cells that every proxy named has been tried on.

    Of all stored seeds, or of those `wanted`.

    On the same cells, because the cells move a correlation more than most proxies differ. Populations are ranked among
    the cells of the set `which`, labelled or not.
    """
    found = []
    tried = labels.index
    for proxy in proxies:
        if proxy.label not in BASELINES:
            if isinstance(proxy, Population):
                scores, seeds = combined_scores(store, benchmark, proxy, select_of(which, benchmark), files, wanted)
                name = _population_name(proxy, benchmark, files)
            else:
                scores, seeds = mean_scores(store, benchmark, proxy, wanted)
                name = name_of(proxy, benchmark)
            found.append(judge(name, seeds, scores, labels, benchmark.space))
            tried = tried.intersection(scores.index)
    for name in BASELINES:
        found.append(judge(name, [], counted(name, benchmark, tried), labels, benchmark.space))
    return found
