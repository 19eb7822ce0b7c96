"""Every table of a benchmark, from published scores, accuracy tables and costs: the same inputs give the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from analysis import (
    ablation,
    cell_sets,
    costs,
    distillation_table,
    kinds,
    leaderboard,
    pairs,
    reliability,
    reliability_table,
    search_table,
    subgraph_table,
    teacher_table,
    variance,
)
from analysis.labels import TABLES, Labels, known_labels, load_labels
from analysis.searches import finished, judge
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


def write_all(setting: Benchmark, cells: str | None, scores: Path, spent: Path, output: Path) -> Iterator[list[Path]]:
    """The leaderboards against all kinds of label, `kinds`, `pairs`, `sets`, `variance`, `ablation`, `teachers`,
    `subgraph` and `reliability`-<benchmark>; those of which something is published. Raises BadInput.
    """
    for kind in TABLES:
        yield write_leaderboard(setting, kind, kind, cells, scores, spent, output)
    labels = {kind: load_labels(kind, setting.name) for kind in ("vanilla", "distilled", "gain")}
    distilled = labels["distilled"]
    which = cells or _set(distilled)
    where = f"{setting.name}, distilled accuracy ({distilled.source}), cells of '{which}'"

    yield kinds.write(
        kinds.kinds(scores, setting, labels, which), labels, output / f"kinds-{setting.name}", setting.name
    )
    yield pairs.write(*pairs.pairs(scores, setting, distilled, which), output / f"pairs-{setting.name}", where)
    yield cell_sets.write(
        cell_sets.on_sets(scores, setting, distilled), output / f"sets-{setting.name}", f"{setting.name}, distilled"
    )
    if crossed := variance.write(setting.name, output):
        yield crossed
    if repeated := ablation.ablation(scores, setting, distilled, which):
        yield ablation.write(repeated, output / f"ablation-{setting.name}", where)
    if studied := teacher_table.rows(teacher_table.studies(setting, "distilled", which, scores)):
        yield teacher_table.write(studied, output / f"teachers-{setting.name}", where)
    if cuts := subgraph_table.read(setting.name):
        yield subgraph_table.write(cuts, output / f"subgraph-{setting.name}", setting.name)
    if finished(setting.name):
        labels, chosen = known_labels(setting.name)
        found, _ = judge(setting, labels, spent=spent, chosen=chosen)
        yield search_table.write(found, output / f"searches-{setting.name}", setting.name)
    report = reliability.report(setting)
    yield reliability_table.write(report, output / f"reliability-{setting.name}", f"{setting.name}, test accuracy")


def write_pairs(benchmark: str | None, output: Path) -> Iterator[list[Path]]:
    """`distillation-<pair>` of all pairs of a benchmark, of any where none is named. Raises BadInput."""
    for pair, trainings in distillation_table.tables(benchmark).items():
        yield distillation_table.write(trainings, output / f"distillation-{pair}", pair)


def _set(labels: Labels) -> str:
    """The cells that labels are of."""
    return "functions" if labels.of_functions else "all"
