"""Every table of a benchmark, from published scores, accuracy tables and costs: the same inputs give the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from analysis.read import costs
from analysis.read.labels import TABLES, Labels, known_labels, load_labels
from analysis.studies import ablation, cell_sets, label_kinds, leaderboard, pairs, reliability, variance
from analysis.studies.searches import finished, judge
from analysis.tables import distillation as distillation_table
from analysis.tables import reliability as reliability_table
from analysis.tables import searches as search_table
from analysis.tables import subgraph as subgraph_table
from analysis.tables import teachers as teacher_table
from bench.benchmarks import Benchmark


def write_leaderboard(
    setting: Benchmark, against: str, name: str, cells: str | None, scores: Path, spent: Path, output: Path
) -> list[Path]:
    """`leaderboard-<benchmark>-<name>` against a kind of label or a file of accuracies."""
    labels = load_labels(against, setting.name)
    which = cells or _set(labels)
    vanilla = load_labels("vanilla", setting.name) if against == "distilled" else None
    found = leaderboard.lines(scores, setting, labels, which, vanilla, costs.forwards(spent, setting.name))
    caption = f"{setting.name}, {name} ({labels.source}): {len(found)} proxies on the labelled cells of '{which}'."
    return leaderboard.write(found, output / f"leaderboard-{setting.name}-{name}", caption)


@dataclass(frozen=True)
class Sources:
    """What the tables of one benchmark are made of; labels are loaded when a table first asks for them."""

    setting: Benchmark
    cells: str | None
    """The cells judged; None is what the labels are of."""
    scores: Path
    costs: Path
    output: Path

    @cached_property
    def labels(self) -> dict[str, Labels]:
        """Labels by kind, vanilla accuracy first."""
        return {kind: load_labels(kind, self.setting.name) for kind in ("vanilla", "distilled", "gain")}

    @property
    def distilled(self) -> Labels:
        """Distilled accuracy."""
        return self.labels["distilled"]

    @property
    def which(self) -> str:
        """The cell set."""
        return self.cells or _set(self.distilled)

    @property
    def where(self) -> str:
        """How a caption begins."""
        return f"{self.setting.name}, distilled accuracy ({self.distilled.source}), cells of '{self.which}'"

    def path(self, table: str) -> Path:
        """Where a table lies, without its ending."""
        return self.output / f"{table}-{self.setting.name}"


def _leaderboard(kind: str) -> Callable[[Sources], list[Path]]:
    return lambda of: write_leaderboard(of.setting, kind, kind, of.cells, of.scores, of.costs, of.output)


def _kinds(of: Sources) -> list[Path]:
    found = label_kinds.kinds(of.scores, of.setting, of.labels, of.which)
    return label_kinds.write(found, of.labels, of.path("kinds"), of.setting.name)


def _pairs(of: Sources) -> list[Path]:
    return pairs.write(*pairs.pairs(of.scores, of.setting, of.distilled, of.which), of.path("pairs"), of.where)


def _sets(of: Sources) -> list[Path]:
    found = cell_sets.on_sets(of.scores, of.setting, of.distilled)
    return cell_sets.write(found, of.path("sets"), f"{of.setting.name}, distilled")


def _variance(of: Sources) -> list[Path]:
    return variance.write(of.setting.name, of.output) or []


def _ablation(of: Sources) -> list[Path]:
    found = ablation.ablation(of.scores, of.setting, of.distilled, of.which)
    return ablation.write(found, of.path("ablation"), of.where) if found else []


def _teachers(of: Sources) -> list[Path]:
    found = teacher_table.rows(teacher_table.studies(of.setting, "distilled", of.which, of.scores))
    return teacher_table.write(found, of.path("teachers"), of.where) if found else []


def _subgraph(of: Sources) -> list[Path]:
    found = subgraph_table.read(of.setting.name)
    return subgraph_table.write(found, of.path("subgraph"), of.setting.name) if found else []


def _searches(of: Sources) -> list[Path]:
    if not finished(of.setting.name):
        return []
    labels, chosen = known_labels(of.setting.name)
    found, _ = judge(of.setting, labels, spent=of.costs, chosen=chosen)
    return search_table.write(found, of.path("searches"), of.setting.name)


def _reliability(of: Sources) -> list[Path]:
    where = f"{of.setting.name}, test accuracy"
    return reliability_table.write(reliability.report(of.setting), of.path("reliability"), where)


REGISTRY: dict[str, Callable[[Sources], list[Path]]] = {
    **{f"leaderboard, {kind}": _leaderboard(kind) for kind in TABLES},
    "kinds": _kinds,
    "pairs": _pairs,
    "sets": _sets,
    "variance": _variance,
    "ablation": _ablation,
    "teachers": _teachers,
    "subgraph": _subgraph,
    "searches": _searches,
    "reliability": _reliability,
}
"""The tables of a benchmark by name; each writes its files, none where nothing of it is published. Raise BadInput."""


def write_all(setting: Benchmark, cells: str | None, scores: Path, spent: Path, output: Path) -> Iterator[list[Path]]:
    """Write every table of the registry, one after the other; yields the files of each that has some."""
    sources = Sources(setting, cells, scores, spent, output)
    for write in REGISTRY.values():
        if paths := write(sources):
            yield paths


def write_pairs(benchmark: str | None, output: Path) -> Iterator[list[Path]]:
    """`distillation-<pair>` of all pairs of a benchmark, of any where none is named. Raises BadInput."""
    for pair, trainings in distillation_table.tables(benchmark).items():
        yield distillation_table.write(trainings, output / f"distillation-{pair}", pair)


def _set(labels: Labels) -> str:
    """The cells that labels are of."""
    return "functions" if labels.of_functions else "all"
