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

from analysis.bibliography import write
from analysis.read import costs
from analysis.read.labels import TABLES, Labels, known_labels, load_labels
from analysis.read.scores import judged_columns, published
from analysis.studies import ablation, cell_sets, leaderboard, pairs, variance
from analysis.studies.found import formulas
from analysis.studies.labels import kinds, reliability, transfer
from analysis.studies.learned import files as learned
from analysis.studies.searches import finished, judge
from analysis.tables import ablation as ablation_table
from analysis.tables import cell_sets as sets_table
from analysis.tables import distillation, label_sets, recipes, subgraph, teachers
from analysis.tables import label_kinds as kinds_table
from analysis.tables import leaderboard as leaderboard_table
from analysis.tables import pairs as pairs_table
from analysis.tables import reliability as reliability_table
from analysis.tables import searches as searches_table
from analysis.tables import transfer as transfer_table
from analysis.tables import variance as variance_table
from analysis.tables.found import formulas as formulas_table
from analysis.tables.found import predictions as predictions_table
from analysis.typeset import Table, as_it_stands
from bench.benchmarks import Benchmark
from common import results as places
from common.errors import BadInput
from common.formats import read_csv, read_json, read_records
from common.shipped import here_or_shipped
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
    predictions: Path = places.PREDICTIONS
    subgraphs: Path = places.SUBGRAPHS
    formulas: Path = places.FORMULAS
    stored_spearman: Mapping[str, float] | None = None
    """Spearman with distilled accuracy, by proxy, as a leaderboard's file has it; None is to be computed."""

    @property
    def name(self) -> str:
        """The name of the benchmark."""
        return self.setting.name

    @cached_property
    def labels(self) -> dict[str, Labels]:
        """Labels by kind, vanilla accuracy first; without those that no accuracy table holds."""
        there = [mode for mode in MODES if here_or_shipped(table_path(self.name, mode, self.accuracies)).is_file()]
        kinds = [*there, "gain"] if len(there) == len(MODES) else there
        return {kind: load_labels(kind, self.name, self.accuracies) for kind in kinds}

    def labels_of(self, kind: str) -> Labels:
        """Labels of a kind. Raises BadInput where no table holds them."""
        return self.labels.get(kind) or load_labels(kind, self.name, self.accuracies)

    def set_of(self, labels: Labels) -> str:
        """The set of the cells that are judged by labels."""
        return self.cells or ("functions" if labels.of_functions else "all")

    @property
    def which(self) -> str:
        """The set of the cells that are judged by distilled accuracy."""
        return self.set_of(self.labels_of("distilled"))

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
        """Spearman with distilled accuracy by proxy: the stored ones, or of those that score all labelled cells."""
        if self.stored_spearman is not None:
            return self.stored_spearman
        return pairs.spearmans(self.columns, self.labels_of("distilled"), self.which)

    @cached_property
    def cuts(self) -> list[subgraph.Cut]:
        """The finished studies of subgraphs."""
        return subgraph.read(self.name, self.subgraphs)

    @cached_property
    def learned(self) -> learned.Learned | None:
        """The study of rankings that learn, where there is one."""
        return learned.read(self.name, self.predictions)

    @property
    def crossed(self) -> dict[str, Any] | None:
        """What made the crossing of weights, images and initialisations, where there is one."""
        table = self.crossings / f"{self.name}.csv.gz"
        return read_json(self.crossings / f"{self.name}.json") if table.is_file() else None


@dataclass(frozen=True)
class Definition:
    """A table of a benchmark: its frame from the sources, None where nothing of it is published, and its showing."""

    frame: Callable[[Sources], pd.DataFrame | None]
    table: Callable[[pd.DataFrame, Sources], Table]
    """The table of such a frame, also of one that was read from a file."""


def _leaderboard(kind: str) -> Definition:
    return Definition(
        lambda sources: _lines(sources, sources.labels_of(kind), kind),
        lambda frame, sources: board(frame, sources, kind),
    )


def _lines(sources: Sources, labels: Labels, kind: str) -> pd.DataFrame:
    vanilla = sources.labels_of("vanilla") if kind == "distilled" else None
    spent = costs.forwards(sources.costs, sources.name)
    return leaderboard_table.frame(
        leaderboard.lines(sources.scores, sources.setting, labels, sources.set_of(labels), vanilla, spent)
    )


def board(frame: pd.DataFrame, sources: Sources, name: str, labels: Labels | None = None) -> Table:
    """A leaderboard against labels, those of the kind `name` unless told; what is not known of them is not said."""
    labels = labels or sources.labels.get(name)
    source = f" ({labels.source})" if labels else ""
    cells = f" on the labelled cells of '{sources.set_of(labels)}'" if labels else ""
    return leaderboard_table.table(frame, f"{sources.name}, {name}{source}: {len(frame)} proxies{cells}.")


def _variance(sources: Sources) -> pd.DataFrame | None:
    if sources.crossed is None:
        return None
    from bench.measure.crossing import read  # imports torch, which no reader of files needs

    return variance_table.frame(variance.shares(read(sources.crossings / f"{sources.name}.csv.gz")[0]))


def _ablation(sources: Sources) -> pd.DataFrame | None:
    found = ablation.ablation(sources.scores, sources.setting, sources.labels_of("distilled"), sources.which)
    return ablation_table.frame(found) if found else None


def _teachers(sources: Sources) -> pd.DataFrame | None:
    found = teachers.rows(teachers.studies(sources.setting, "distilled", sources.which, sources.scores))
    return teachers.frame(found) if found else None


def _searches(sources: Sources) -> pd.DataFrame | None:
    if not finished(sources.name):
        return None
    labels, chosen = known_labels(sources.name, folder=sources.accuracies)
    return searches_table.frame(judge(sources.setting, labels, spent=sources.costs, chosen=chosen)[0])


def _formulas(sources: Sources) -> pd.DataFrame | None:
    if not (sources.formulas / f"{sources.name}.csv").is_file():
        return None
    return formulas_table.frame(formulas.judge(sources.setting, sources.formulas, sources.scores, sources.accuracies))


def _transfer(sources: Sources) -> pd.DataFrame | None:
    found = transfer.transfers(sources.scores, sources.setting, sources.labels_of("distilled"), sources.which)
    return transfer_table.frame(found) if found else None


def _sets(sources: Sources) -> pd.DataFrame | None:
    found = cell_sets.on_sets(sources.scores, sources.setting, sources.labels_of("distilled"))
    return sets_table.frame(found) if found else None


def _learned(sources: Sources) -> learned.Learned:
    if sources.learned is None:
        raise BadInput(f"no study of {sources.name} in {sources.predictions}: {learned.AGAIN}")
    return sources.learned


REGISTRY: dict[str, Definition] = {
    **{f"leaderboard-{{}}-{kind}": _leaderboard(kind) for kind in TABLES},
    "kinds-{}": Definition(
        lambda sources: kinds_table.frame(kinds.kinds(sources.scores, sources.setting, sources.labels, sources.which)),
        lambda frame, sources: kinds_table.table(frame, sources.labels, sources.name),
    ),
    "pairs-{}": Definition(
        lambda sources: pairs_table.frame(pairs.pairs(sources.columns, sources.labels_of("distilled"), sources.which)),
        lambda frame, sources: pairs_table.table(frame, sources.spearmans, sources.where),
    ),
    "sets-{}": Definition(
        _sets,
        lambda frame, sources: sets_table.table(frame, f"{sources.name}, distilled"),
    ),
    "transfer-{}": Definition(_transfer, lambda frame, sources: transfer_table.table(frame, sources.where)),
    "variance-{}": Definition(
        _variance, lambda frame, sources: variance_table.table(frame, sources.name, sources.crossed)
    ),
    "predictions-{}": Definition(
        lambda sources: sources.learned.rows if sources.learned else None,
        lambda frame, sources: predictions_table.table(frame, _learned(sources).made),
    ),
    "ablation-{}": Definition(_ablation, lambda frame, sources: ablation_table.table(frame, sources.where)),
    "teachers-{}": Definition(_teachers, lambda frame, sources: teachers.table(frame, sources.where)),
    "subgraph-{}": Definition(
        lambda sources: subgraph.frame(sources.cuts) if sources.cuts else None,
        lambda frame, sources: subgraph.table(frame, sources.cuts, sources.name),
    ),
    "searches-{}": Definition(_searches, lambda frame, sources: searches_table.table(frame, sources.name)),
    "formulas-{}": Definition(_formulas, lambda frame, sources: formulas_table.table(frame, sources.name)),
    "reliability-{}": Definition(
        lambda sources: reliability_table.frame(reliability.report(sources.setting, sources.accuracies)),
        lambda frame, sources: reliability_table.table(frame, f"{sources.name}, test accuracy"),
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


def write_all(sources: Sources, output: Path) -> Iterator[list[Path]]:
    """Write every table of the registry, one after the other; yields the files of each that has some."""
    for name, definition in REGISTRY.items():
        if (frame := definition.frame(sources)) is not None:
            yield write(definition.table(frame, sources), output / name.format(sources.name))


def write_leaderboard(sources: Sources, against: str, name: str, output: Path) -> list[Path]:
    """Write `leaderboard-<benchmark>-<name>` against a file of accuracies, or a kind of label."""
    labels = load_labels(against, sources.name, sources.accuracies)
    table = board(_lines(sources, labels, against), sources, name, labels)
    return write(table, output / f"leaderboard-{sources.name}-{name}")


def write_distillation(benchmark: str | None, output: Path) -> Iterator[list[Path]]:
    """Write `distillation-<pair>` of all pairs of a benchmark, of any where none is named. Raises BadInput."""
    for pair, trained in distillation.trainings(benchmark).items():
        table = distillation.table(distillation.frame(trained), pair)
        yield write(table, output / f"distillation-{pair}")


def shown(path: Path, sources: Sources | None = None) -> Table:
    """The table in a CSV file, as its definition shows it, of a benchmark where one is told; any other as it stands."""
    if sources is not None:
        for name, definition in REGISTRY.items():
            if path.stem == name.format(sources.name):
                return definition.table(read_csv(path), sources)
    for name, table in OTHERS.items():
        if path.stem == name or path.stem.startswith(f"{name}-"):
            return table(read_csv(path), path.stem.removeprefix(name).removeprefix("-"))
    return as_it_stands(pd.DataFrame(read_records(path)))
