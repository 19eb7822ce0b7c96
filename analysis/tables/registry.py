"""Every table of results: what its numbers are made of, and how a page shows them.

The numbers of a benchmark's tables come from published scores, accuracy tables and costs (`write_all`), or from the CSV
file that an earlier run wrote (`shown`): the same columns and the same caption either way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.read import costs
from analysis.read.labels import TABLES, Labels, known_labels, load_labels
from analysis.read.scores import judged_columns, published
from analysis.studies import ablation, cell_sets, label_kinds, leaderboard, pairs, reliability, variance
from analysis.studies.searches import finished, judge
from analysis.tables import ablation as ablation_table
from analysis.tables import cell_sets as sets_table
from analysis.tables import distillation, label_sets, recipes, subgraph, teachers
from analysis.tables import label_kinds as kinds_table
from analysis.tables import leaderboard as leaderboard_table
from analysis.tables import pairs as pairs_table
from analysis.tables import reliability as reliability_table
from analysis.tables import searches as searches_table
from analysis.tables import variance as variance_table
from analysis.typeset import Table, as_it_stands
from bench.benchmarks import Benchmark
from common import results as places
from common.formats import read_csv, read_json, read_records
from distill.recipes import MODES
from distill.tables import table_path


@dataclass(frozen=True)
class Sources:
    """What the tables of one benchmark are made of, each read when a table first asks for it."""

    setting: Benchmark
    cells: str | None = None
    """The cells judged; None is what the labels are of."""
    scores: Path = places.SCORES
    costs: Path = places.COSTS
    accuracies: Path = places.ACCURACIES
    crossings: Path = places.CROSSINGS
    subgraphs: Path = places.SUBGRAPHS
    told: Mapping[str, float] | None = None
    """Spearman with distilled accuracy, by proxy, as a leaderboard that lies there tells it."""

    @property
    def name(self) -> str:
        """The name of the benchmark."""
        return self.setting.name

    @cached_property
    def labels(self) -> dict[str, Labels]:
        """Labels by kind, vanilla accuracy first; without those that no accuracy table holds."""
        there = [mode for mode in MODES if table_path(self.name, mode, self.accuracies).is_file()]
        kinds = [*there, "gain"] if len(there) == len(MODES) else there
        return {kind: load_labels(kind, self.name, self.accuracies) for kind in kinds}

    def of(self, kind: str) -> Labels:
        """Labels of a kind. Raises BadInput where no table holds them."""
        return self.labels.get(kind) or load_labels(kind, self.name, self.accuracies)

    def set_of(self, labels: Labels) -> str:
        """The set of the cells that are judged by labels."""
        return self.cells or ("functions" if labels.of_functions else "all")

    @property
    def which(self) -> str:
        """The set of the cells that are judged by distilled accuracy."""
        return self.set_of(self.of("distilled"))

    @property
    def where(self) -> str:
        """How a caption begins."""
        known = self.labels.get("distilled")
        told = f" ({known.source}), cells of '{self.which}'" if known else ""
        return f"{self.name}, distilled accuracy{told}"

    @cached_property
    def columns(self) -> dict[str, pd.Series]:
        """Mean scores of the cells of the set, by proxy."""
        return judged_columns(published(self.scores, self.name), self.setting, self.which)

    @property
    def spearmans(self) -> Mapping[str, float]:
        """Spearman with distilled accuracy by proxy: as `told`, or of those that score all labelled cells."""
        return pairs.spearmans(self.columns, self.of("distilled"), self.which) if self.told is None else self.told

    @cached_property
    def cuts(self) -> list[subgraph.Cut]:
        """The finished studies of subgraphs."""
        return subgraph.read(self.name, self.subgraphs)

    @property
    def crossed(self) -> dict[str, Any] | None:
        """What made the crossing of weights, images and initialisations, where there is one."""
        path = self.crossings / f"{self.name}.json"
        return read_json(path) if path.is_file() else None


@dataclass(frozen=True)
class Definition:
    """A table of a benchmark: its frame from the sources, None where nothing of it is published, and its showing."""

    frame: Callable[[Sources], pd.DataFrame | None]
    table: Callable[[pd.DataFrame, Sources], Table]
    """The table of such a frame, also of one that was read from a file."""


def _leaderboard(kind: str) -> Definition:
    return Definition(lambda of: _lines(of, of.of(kind), kind), lambda frame, of: board(frame, of, kind))


def _lines(of: Sources, labels: Labels, kind: str) -> pd.DataFrame:
    vanilla = of.of("vanilla") if kind == "distilled" else None
    spent = costs.forwards(of.costs, of.name)
    return leaderboard_table.frame(leaderboard.lines(of.scores, of.setting, labels, of.set_of(labels), vanilla, spent))


def board(frame: pd.DataFrame, of: Sources, name: str, labels: Labels | None = None) -> Table:
    """A leaderboard against labels, those of the kind `name` unless told; what is not known of them is not said."""
    labels = labels or of.labels.get(name)
    source, cells = (f" ({labels.source})", f" on the labelled cells of '{of.set_of(labels)}'") if labels else ("", "")
    return leaderboard_table.table(frame, f"{of.name}, {name}{source}: {len(frame)} proxies{cells}.")


def _variance(of: Sources) -> pd.DataFrame | None:
    if of.crossed is None:
        return None
    from bench.measure.crossing import read  # imports torch, which no reader of files needs

    return variance_table.frame(variance.shares(read(of.crossings / f"{of.name}.csv.gz")[0]))


def _ablation(of: Sources) -> pd.DataFrame | None:
    found = ablation.ablation(of.scores, of.setting, of.of("distilled"), of.which)
    return ablation_table.frame(found) if found else None


def _teachers(of: Sources) -> pd.DataFrame | None:
    found = teachers.rows(teachers.studies(of.setting, "distilled", of.which, of.scores))
    return teachers.frame(found) if found else None


def _searches(of: Sources) -> pd.DataFrame | None:
    if not finished(of.name):
        return None
    labels, chosen = known_labels(of.name, folder=of.accuracies)
    return searches_table.frame(judge(of.setting, labels, spent=of.costs, chosen=chosen)[0])


REGISTRY: dict[str, Definition] = {
    **{f"leaderboard-{{}}-{kind}": _leaderboard(kind) for kind in TABLES},
    "kinds-{}": Definition(
        lambda of: kinds_table.frame(label_kinds.kinds(of.scores, of.setting, of.labels, of.which)),
        lambda frame, of: kinds_table.table(frame, of.labels, of.name),
    ),
    "pairs-{}": Definition(
        lambda of: pairs_table.frame(pairs.pairs(of.columns, of.of("distilled"), of.which)),
        lambda frame, of: pairs_table.table(frame, of.spearmans, of.where),
    ),
    "sets-{}": Definition(
        lambda of: sets_table.frame(cell_sets.on_sets(of.scores, of.setting, of.of("distilled"))),
        lambda frame, of: sets_table.table(frame, f"{of.name}, distilled"),
    ),
    "variance-{}": Definition(_variance, lambda frame, of: variance_table.table(frame, of.name, of.crossed)),
    "ablation-{}": Definition(_ablation, lambda frame, of: ablation_table.table(frame, of.where)),
    "teachers-{}": Definition(_teachers, lambda frame, of: teachers.table(frame, of.where)),
    "subgraph-{}": Definition(
        lambda of: subgraph.frame(of.cuts) if of.cuts else None,
        lambda frame, of: subgraph.table(frame, of.cuts, of.name),
    ),
    "searches-{}": Definition(_searches, lambda frame, of: searches_table.table(frame, of.name)),
    "reliability-{}": Definition(
        lambda of: reliability_table.frame(reliability.report(of.setting, of.accuracies)),
        lambda frame, of: reliability_table.table(frame, f"{of.name}, test accuracy"),
    ),
}
"""The tables of a benchmark by the name of their file, less its ending; the braces are the benchmark's name."""


OTHERS: dict[str, Callable[[pd.DataFrame, str], Table]] = {
    "distillation": distillation.table,
    "recipes": recipes.table,
    "label-sets-proxies": lambda frame, name: label_sets.proxies_table(frame),
    "label-sets": lambda frame, name: label_sets.table(frame),
}
"""The showing of all other tables, by what their file's name begins with; the rest of the name is what they are of."""


def write_all(of: Sources, output: Path) -> Iterator[list[Path]]:
    """Write every table of the registry, one after the other; yields the files of each that has some."""
    for name, definition in REGISTRY.items():
        if (frame := definition.frame(of)) is not None:
            yield definition.table(frame, of).write(output / name.format(of.name))


def write_leaderboard(of: Sources, against: str, name: str, output: Path) -> list[Path]:
    """Write `leaderboard-<benchmark>-<name>` against a file of accuracies, or a kind of label."""
    labels = load_labels(against, of.name, of.accuracies)
    table = board(_lines(of, labels, against), of, name, labels)
    return table.write(output / f"leaderboard-{of.name}-{name}")


def write_distillation(benchmark: str | None, output: Path) -> Iterator[list[Path]]:
    """Write `distillation-<pair>` of all pairs of a benchmark, of any where none is named. Raises BadInput."""
    for pair, trained in distillation.trainings(benchmark).items():
        table = distillation.table(distillation.frame(trained), pair)
        yield table.write(output / f"distillation-{pair}")


def shown(path: Path, of: Sources | None = None) -> Table:
    """The table in a CSV file, as its definition shows it, of a benchmark where one is told; any other as it stands."""
    if of is not None:
        for name, definition in REGISTRY.items():
            if path.stem == name.format(of.name):
                return definition.table(read_csv(path), of)
    for name, table in OTHERS.items():
        if path.stem == name or path.stem.startswith(f"{name}-"):
            return table(read_csv(path), path.stem.removeprefix(name).removeprefix("-"))
    return as_it_stands(pd.DataFrame(read_records(path)))
