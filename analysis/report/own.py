"""What of the user's own store the report shows beside what is published: lines, columns of scores, figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from analysis.figures.draw import draw
from analysis.figures.study import judged
from analysis.read import costs
from analysis.read.columns import BASELINE, label_cells
from analysis.read.labels import Labels
from analysis.read.scores import judged_columns, published
from analysis.read.stored import OwnScores, own_scores
from analysis.studies.leaderboard import judged_lines
from analysis.tables import leaderboard
from analysis.tables.registry import Sources
from bench.published import read_manifest

MARK = "yours"
"""What stands beside a proxy whose scores are the user's."""


@dataclass(frozen=True)
class Own:
    """The user's scores of one benchmark, and where they are kept; `sources` are of what is published of it."""

    sources: Sources
    store: Path
    scores: dict[str, OwnScores]

    @cached_property
    def published(self) -> dict[str, pd.DataFrame]:
        """Published scores by cell and seed, by name."""
        return published(self.sources.scores, self.sources.name)

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Those and the user's."""
        return self.published | {name: each.table for name, each in self.scores.items()}

    def columns(self, which: str) -> dict[str, pd.Series]:
        """Mean scores of the cells of a set by name; what combines others is among them where all its parts are."""
        return judged_columns(self.tables, self.sources.setting, which)

    @cached_property
    def names(self) -> frozenset[str]:
        """The names that are not of what is published alone."""
        there = judged_columns(self.published, self.sources.setting, self.sources.which)
        return frozenset(self.columns(self.sources.which)) - frozenset(there)

    def lines(self, kind: str) -> pd.DataFrame:
        """The user's rows of a leaderboard; p is corrected for these alone. Empty where none can be judged."""
        labels = self.sources.labels_of(kind)
        which = self.sources.set_of(labels)
        columns = {name: column for name, column in self.columns(which).items() if name in {*self.names, BASELINE}}
        columns = _judgeable(columns, labels, which)
        vanilla = self.sources.labels_of("vanilla") if kind == "distilled" else None
        spent = costs.forwards(self.sources.costs, self.sources.name)
        found = judged_lines(self.tables, columns, self.sources.setting, labels, which, vanilla, spent)
        return leaderboard.frame([line for line in found if line.proxy in self.names])

    def draw(self, output: Path) -> list[Path]:
        """Draw the figures against distilled accuracy with the user's scores among the others, each of them marked."""
        labels, which = self.sources.labels_of("distilled"), self.sources.which
        scores = {self._called(name): column for name, column in self.columns(which).items()}
        everywhere = {self._called(name): column for name, column in self.columns("all").items()}
        scores = _judgeable(scores, labels, which)
        own = [self._called(name) for name in self.names if self._called(name) in scores]
        study = judged(self.sources.name, "distilled", labels, which, scores, everywhere, also=own)
        return draw(study, self.sources.costs, output) if own else []

    def _called(self, name: str) -> str:
        return f"{name} ({MARK})" if name in self.names else name


def own_of(sources: Sources, store: Path) -> Own | None:
    """What a store has of a benchmark beside what is published of it; None where it has nothing."""
    there = {str(entry["proxy"]) for entry in read_manifest(sources.scores / sources.name).values()}
    found = own_scores(store, sources.setting, there)
    return Own(sources, store, found) if found else None


def _judgeable(columns: Mapping[str, pd.Series], labels: Labels, which: str) -> dict[str, pd.Series]:
    """The columns that have scores of three labelled cells."""
    labelled = label_cells(labels, which).index
    return {name: column for name, column in columns.items() if column.reindex(labelled).notna().sum() >= 3}
