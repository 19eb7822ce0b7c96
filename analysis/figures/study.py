"""What the figures of one benchmark and one kind of label are drawn from, read once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.read.columns import label_cells
from analysis.read.labels import TABLES, Labels
from analysis.read.scores import judged_columns, published
from analysis.stats.reliability import reliability
from analysis.studies.correlate import Result, judge
from bench.benchmarks import Benchmark
from common.errors import unknown

BEST = 4
ALWAYS = ("diswot", "params")
"""Where a figure has room for few proxies: the best, and these."""


class CannotDraw(Exception):
    """A `CannotDraw` says in one line why there is no such figure of a study."""


COPY = 0.99
"""Spearman between two proxies above which one of them stands for both."""


@dataclass(frozen=True)
class Study:
    """A `Study` holds the mean score of every proxy by cell, over seeds, and its correlation with labels of a set."""

    benchmark: str
    against: str
    which: str
    labels: Labels
    scores: dict[str, pd.Series]
    """Of the cells of the set `which`."""
    everywhere: dict[str, pd.Series]
    """Of all cells."""
    results: dict[str, Result]
    """The highest Spearman first."""
    chosen: list[str]
    """The proxies of figures that have room for few, in the order of `results`."""

    @property
    def n(self) -> int:
        """The number of labelled cells of the set."""
        return len(label_cells(self.labels, self.which))

    @property
    def ceiling(self) -> float | None:
        """Spearman of a proxy that knew the true ranking; None with a single seed."""
        found = reliability(self.labels.by_seed)
        return None if found is None else found.ceiling

    @property
    def title(self) -> str:
        """What was judged on what."""
        return f"{self.benchmark}, {self.kind}: {self.n:,} labelled cells of the set '{self.which}'"

    @property
    def kind(self) -> str:
        """What the labels are, without a unit."""
        return self.labels.quantity.split(",")[0]


def load(
    folder: Path, setting: Benchmark, against: str, labels: Labels, which: str, chosen: Sequence[str] | None = None
) -> Study:
    """Read a study from published scores: of proxies, of populations whose parts are all published, of baselines.

    Raises BadInput for scores that cannot be read, BadUsage for a chosen proxy that is not among them.
    """
    tables = published(folder, setting.name)
    everywhere = judged_columns(tables, setting, "all")
    scores = everywhere if which == "all" else judged_columns(tables, setting, which)
    return judged(setting.name, against, labels, which, scores, everywhere, chosen)


def judged(
    benchmark: str,
    against: str,
    labels: Labels,
    which: str,
    scores: Mapping[str, pd.Series],
    everywhere: Mapping[str, pd.Series] | None = None,
    chosen: Sequence[str] | None = None,
    also: Sequence[str] = (),
) -> Study:
    """Make a study of scores by cell. `chosen` are by default the `BEST` ones beside `ALWAYS`, and those `also`."""
    labelled = label_cells(labels, which)
    found = {name: judge(name, [], column, labelled, labels.space) for name, column in sorted(scores.items())}
    ranking = pd.Series({name: result.correlation.spearman for name, result in found.items()})
    order = list(ranking.sort_values(ascending=False, kind="stable", na_position="last").index)
    if chosen is None:
        chosen = few(order, scores)
    else:
        for name in chosen:
            if name not in found:
                raise unknown("published proxy", name, found)
    return Study(
        benchmark,
        against if against in TABLES else Path(against).name.removesuffix(".gz").removesuffix(".csv"),
        which,
        labels,
        dict(scores),
        dict(everywhere or scores),
        {name: found[name] for name in order},
        [name for name in order if name in (*chosen, *also)],
    )


def few(order: Sequence[str], scores: Mapping[str, pd.Series]) -> list[str]:
    """Choose the `BEST` of an order, best first, beside `ALWAYS`, without copies of what is taken (`COPY`)."""
    taken = [name for name in ALWAYS if name in scores]
    room = len(taken) + BEST
    for name in order:
        pairs = (pd.DataFrame({"one": scores[name], "other": scores[other]}) for other in taken)
        alike = (pair.corr(method="spearman").iloc[0, 1] for pair in pairs)
        if len(taken) < room and name not in taken and not any(abs(rho) > COPY for rho in alike):
            taken.append(name)
    return taken
