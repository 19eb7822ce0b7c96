"""What the report shows of each benchmark, read from the folders under results/; nothing is trained or scored."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from analysis.figures.draw import KINDS
from analysis.read.columns import label_cells
from analysis.read.labels import TABLES
from analysis.report.leaderboards import Leaderboard, leaderboards
from analysis.report.own import Own, own_of
from analysis.report.plain import AGAIN, Plain, other_tables
from analysis.report.scatter import points
from analysis.report.words import FIGURES
from analysis.stats.reliability import Reliability, reliability
from analysis.tables.registry import Sources
from analysis.typeset import DASH
from bench.benchmarks import Benchmark, benchmark
from bench.published import read_manifest
from common.errors import BadInput
from common.formats import read_csv, read_json
from distill.recipes import MODES
from distill.tables import AccuracyTable, read_table, table_path


@dataclass(frozen=True)
class Figure:
    """A drawing, with its bytes as they lie on disk."""

    name: str
    caption: str
    data: str
    """Base64 of an SVG file."""


@dataclass(frozen=True)
class Published:
    """A file of scores by the manifest; `version` is None, `init` and `sees` a dash where they are not said."""

    proxy: str
    rows: int
    failed: int
    seeds: list[str]
    version: int | None
    init: str
    sees: str
    fingerprints: list[str]
    """One a seed."""
    sha256: str


@dataclass(frozen=True)
class Section:
    """One benchmark; without accuracy tables it has neither `points` nor recipes."""

    setting: Benchmark
    cells: str
    boards: list[Leaderboard]
    points: dict[str, Any] | None
    reliability: dict[str, Reliability | None]
    tables: dict[str, AccuracyTable]
    """By mode."""
    recipes: list[tuple[str, list[str]]]
    """A setting of the trainings, and its value in each of `tables`."""
    others: list[Plain]
    figures: list[Figure]
    scores: list[Published]
    costs: dict[str, Any]
    """What measured the costs."""

    @property
    def families(self) -> list[str]:
        return sorted({line.family for board in self.boards for line in board.lines})


@dataclass(frozen=True)
class Contents:
    """Everything on the page; `tables` are of no benchmark, `inputs` the files it was made of and their SHA-256."""

    sections: list[Section]
    tables: list[Plain]
    inputs: dict[str, str]


def contents(results: Path, store: Path | None = None) -> Contents:
    """Read everything on the page, with what a store has that is not published; its figures are drawn beside it.

    Raises BadInput where there are no published scores, or a file cannot be read.
    """
    names = sorted(path.parent.name for path in results.glob("scores/*/manifest.json"))
    if not names:
        raise BadInput(f"no published scores in {results / 'scores'}: `python -m bench export` makes them")
    sources = {name: _sources(results, benchmark(name)) for name in names}
    tables = other_tables(results / "tables", sources)
    own = {name: own_of(each, store) if store else None for name, each in sources.items()}
    sections = [_section(results, each, tables[name], own[name]) for name, each in sources.items()]
    labelled_first = sorted(sections, key=lambda section: section.points is None)
    return Contents(labelled_first, tables[""], _inputs(results))


def _sources(results: Path, setting: Benchmark) -> Sources:
    """What the tables under `results` were made of, as far as their captions tell it."""
    sources = Sources(
        setting,
        scores=results / "scores",
        costs=results / "costs",
        accuracies=results / "accuracies",
        crossings=results / "crossings",
        subgraphs=results / "subgraphs",
        stored_spearman={},
    )
    path = results / "tables" / f"leaderboard-{sources.name}-distilled.csv"
    if "distilled" not in sources.labels or not path.is_file():
        return sources
    board = read_csv(path, AGAIN, ("proxy", "spearman", "n"))
    known = dict(zip(board["proxy"], board["spearman"], strict=True))
    return replace(sources, stored_spearman=known, cells=_cells(sources, board["n"].max()))


def _cells(sources: Sources, n: int) -> str | None:
    """The set of n labelled cells: None where it is the labels' own, as it is unless `tables --cells` named another."""
    labels, own = sources.labels_of("distilled"), sources.which
    for which in (own, *sources.setting.space.sets):
        if len(label_cells(labels, which)) == n:
            return None if which == own else which
    return "another set"


def _section(results: Path, sources: Sources, others: list[Plain], own: Own | None) -> Section:
    setting, name, accuracies, scores = sources.setting, sources.name, sources.accuracies, sources.scores
    tables = {
        mode: read_table(table_path(name, mode, accuracies))
        for mode in MODES
        if table_path(name, mode, accuracies).is_file()
    }
    labels = {kind: sources.labels[kind] for kind in TABLES if kind in sources.labels}
    which = "functions" if all(each.of_functions for each in labels.values()) else "all"
    return Section(
        setting=setting,
        cells=which,
        boards=leaderboards(results / "tables", sources, own),
        points=points(scores, setting, labels, which, own) if labels and setting.space.cell_based else None,
        reliability={kind: reliability(each.by_seed) for kind, each in labels.items()},
        tables=tables,
        recipes=_side_by_side([flat(table.recipe) for table in tables.values()]),
        others=others,
        figures=_figures([*(results / "figures").glob(f"{name}-*.svg"), *_drawn(own)], name),
        scores=_published(scores / name),
        costs=read_json(costs) if (costs := results / "costs" / f"{name}.json").is_file() else {},
    )


def _published(folder: Path) -> list[Published]:
    found = []
    for file, entry in sorted(read_manifest(folder).items()):
        try:
            settings = entry["settings"]
            record: dict[str, Any] = next((each["record"] for each in settings.values()), {})
            found.append(
                Published(
                    proxy=entry["proxy"],
                    rows=entry["rows"],
                    failed=entry["rows"] - entry["ok"],
                    seeds=list(settings),
                    version=record.get("version"),
                    init=record.get("fields", {}).get("init", DASH),
                    sees=record.get("sees", DASH),
                    fingerprints=[each["fingerprint"] for each in settings.values()],
                    sha256=entry["sha256"],
                )
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise BadInput(
                f"{folder / 'manifest.json'} does not say all of {file} ({error}): restore it, or export again"
            ) from error
    return found


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as `outer.inner`: text."""
    found: dict[str, str] = {}
    for key, inner in sorted(value.items()):
        if isinstance(inner, Mapping):
            found |= flat(inner, f"{prefix}{key}.")
        else:
            found[prefix + key] = str(inner)
    return found


def _side_by_side(recipes: list[dict[str, str]]) -> list[tuple[str, list[str]]]:
    keys = sorted({key for recipe in recipes for key in recipe})
    return [(key, [recipe.get(key, DASH) for recipe in recipes]) for key in keys]


def _drawn(own: Own | None) -> list[Path]:
    """The figures that show the user's scores too, drawn into the store's folder."""
    if own is None or "distilled" not in own.sources.labels:
        return []
    return [path for path in own.draw(own.store.parent / "report") if path.suffix == ".svg"]


def _figures(paths: list[Path], name: str) -> list[Figure]:
    """In the order in which they are drawn, distilled before vanilla before gain; of two of a name the latter."""
    order = [*KINDS, "cost"]
    found = []
    for path in {path.name: path for path in paths}.values():
        against, _, kind = path.stem.removeprefix(f"{name}-").rpartition("-")
        place = (_place(TABLES, against), against, _place(order, kind), kind)
        caption = FIGURES.get(kind, kind)
        data = base64.b64encode(path.read_bytes()).decode()
        found.append((place, Figure(path.stem, f"{caption} ({against})" if against else caption, data)))
    return [figure for _, figure in sorted(found, key=lambda pair: pair[0])]


def _place(order: tuple[str, ...] | list[str], name: str) -> int:
    return order.index(name) if name in order else len(order)


def _inputs(results: Path) -> dict[str, str]:
    """All but the scores, whose hashes the manifests have."""
    patterns = ("accuracies/*", "costs/*", "scores/*/manifest.json", "tables/*.csv", "tables/*.md", "figures/*.svg")
    paths = sorted({path for pattern in patterns for path in results.glob(pattern) if path.is_file()})
    return {path.relative_to(results).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
