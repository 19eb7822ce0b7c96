"""What the report shows of each benchmark, read from the folders under results/; nothing is trained or scored."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from analysis.figures.draw import KINDS
from analysis.figures.style import DPI
from analysis.pages.sentences import ALWAYS, Findings
from analysis.read.columns import label_cells
from analysis.read.labels import TABLES
from analysis.read.scores import published_rows
from analysis.report.leaderboards import Leaderboard, leaderboards
from analysis.report.made import History, Made, Runs, made_by_runs
from analysis.report.own import Own, own_of
from analysis.report.plain import AGAIN, Plain, other_tables
from analysis.report.scatter import points
from analysis.report.words import FIGURES, in_words
from analysis.stats.reliability import Reliability, reliability
from analysis.tables.registry import Sources
from analysis.typeset import DASH
from bench.benchmarks import Benchmark, benchmark
from bench.published import read_manifest
from common.errors import BadInput
from common.formats import read_csv, read_json, reading
from distill.recipes import MODES
from distill.tables import AccuracyTable, read_table, table_path

COLOURS = 64


@dataclass(frozen=True)
class Figure:
    """A drawing, of its SVG file, or of the PNG file beside it, which takes fewer bytes."""

    name: str
    caption: str
    media: str
    data: str
    """Base64."""
    width: int | None
    """In pixels, of a PNG file, whose own are finer."""
    made: Made


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
    made: Made
    own: bool = False
    """Whether these are the user's, and not published."""


@dataclass(frozen=True)
class Section:
    """One benchmark; without accuracy tables it has neither `points` nor recipes. `result` is what it found, in a
    paragraph; empty where that cannot be said."""

    setting: Benchmark
    result: str
    cells: str
    boards: list[Leaderboard]
    points: dict[str, Any] | None
    reliability: dict[str, Reliability | None]
    tables: dict[str, AccuracyTable]
    """By mode."""
    recipes: list[tuple[str, list[str]]]
    """A setting of the trainings, and its value in each of `tables`."""
    trained: dict[str, Made]
    """What made each of `tables`."""
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
    history = History(results)
    tables = other_tables(results / "tables", sources, history)
    own = {name: own_of(each, store) if store else None for name, each in sources.items()}
    sections = [_section(results, each, tables[name], history, own[name]) for name, each in sources.items()]
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
        predictions=results / "predictions",
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


def _section(results: Path, sources: Sources, others: list[Plain], history: History, own: Own | None) -> Section:
    setting, name, accuracies, scores = sources.setting, sources.name, sources.accuracies, sources.scores
    tables = {
        mode: read_table(table_path(name, mode, accuracies))
        for mode in MODES
        if table_path(name, mode, accuracies).is_file()
    }
    labels = {kind: sources.labels[kind] for kind in TABLES if kind in sources.labels}
    which = "functions" if all(each.of_functions for each in labels.values()) else "all"
    recipe = f"{name}-recipes" if tables else ""
    return Section(
        setting=setting,
        result=_result(results, name),
        cells=which,
        boards=leaderboards(results / "tables", sources, history, own),
        points=points(scores, setting, labels, which, own) if labels and setting.space.cell_based else None,
        reliability={kind: reliability(each.by_seed) for kind, each in labels.items()},
        tables=tables,
        recipes=_side_by_side([flat(table.recipe) for table in tables.values()]),
        others=others,
        trained={
            mode: history.made(table_path(name, mode, accuracies), _trained(name, table), recipe)
            for mode, table in tables.items()
        },
        figures=_figures(history, results / "figures", own, name, recipe),
        scores=[*_own_scores(own, recipe), *_published(scores, setting, history, recipe)],
        costs=read_json(costs) if (costs := results / "costs" / f"{name}.json").is_file() else {},
    )


def _result(results: Path, name: str) -> str:
    """What was found on a benchmark, where the tables are there that say it."""
    found = Findings(results, name)
    others = [
        results / "tables" / f"{what}-{name}{of}.csv" for what, of in (("reliability", ""), ("leaderboard", "-gain"))
    ]
    if not all(path.is_file() for path in (found.path, *others)):
        return ""
    return found.paragraph() if set(ALWAYS) <= set(found.board["proxy"]) else ""


def _trained(name: str, table: AccuracyTable) -> str:
    """The command that trained a table of ours; that of another says where it comes from."""
    seeds = sorted(int(seed) for seed in table.rows["seed"].unique())
    cells = table.rows["cell"].nunique()
    if "format" in table.recipe:
        return f"python -m analysis import {table.recipe['format']} FILE"
    return f"python -m distill run --benchmark {name} --seeds {seeds[0]}-{seeds[-1]} --limit {cells}"


def _own_scores(own: Own | None, recipe: str) -> list[Published]:
    """The user's scores, as `_published` shows others."""
    if own is None:
        return []
    found, commands = [], Runs(own.sources.setting)
    for name, each in own.scores.items():
        record = each.settings[0].record
        rows = [row for one in each.settings for row in one.rows]
        scored = {one.seed: [row.cell for row in one.rows] for one in each.settings}
        made = made_by_runs(each.runs, commands.of(name, scored), recipe)
        found.append(
            Published(
                proxy=name,
                rows=len(rows),
                failed=sum(row.status != "ok" for row in rows),
                seeds=[str(seed) for seed in scored],
                version=record["version"],
                init=record["fields"].get("init", DASH),
                sees=record.get("sees", DASH),
                fingerprints=[one.fingerprint for one in each.settings],
                sha256=DASH,
                made=made,
                own=True,
            )
        )
    return found


def _published(scores: Path, setting: Benchmark, history: History, recipe: str) -> list[Published]:
    found, folder, commands = [], scores / setting.name, Runs(setting)
    rows_of = published_rows(scores, setting.name, lambda _: True)
    for file, entry in sorted(read_manifest(folder).items()):
        try:
            settings = entry["settings"]
            record: dict[str, Any] = next((each["record"] for each in settings.values()), {})
            scored = {int(seed): rows for seed, rows in rows_of[entry["proxy"]].groupby("seed")["cell"]}
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
                    made=history.made(folder / file, commands.of(entry["proxy"], scored), recipe),
                )
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
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


def _figures(history: History, folder: Path, own: Own | None, name: str, recipe: str) -> list[Figure]:
    """In the order in which they are drawn, distilled before vanilla before gain; the user's in place of published."""
    order = [*KINDS, "cost"]
    drawn = _drawn(own)
    runs = [run for each in own.scores.values() for run in each.runs] if own else []
    found = []
    for path in {path.name: path for path in (*folder.glob(f"{name}-*.svg"), *drawn)}.values():
        against, _, kind = path.stem.removeprefix(f"{name}-").rpartition("-")
        place = (_place(TABLES, against), against, _place(order, kind), kind)
        caption = FIGURES.get(kind, in_words(kind)) + (f" ({in_words(against)})" if against else "")
        command = f"python -m analysis figures --benchmark {name}"
        made = made_by_runs(runs, "make report", recipe) if path in drawn else history.made(path, command, recipe)
        found.append((place, Figure(path.stem, caption, *_drawing(path), made)))
    return [figure for _, figure in sorted(found, key=lambda pair: pair[0])]


def _drawing(path: Path) -> tuple[str, str, int | None]:
    """Of an SVG file, and the PNG file beside it, what is shown: what it is, its content, and its width.

    The PNG file in `COLOURS` colours, as few as a drawing has, takes a third of the bytes of either.
    """
    other = path.with_suffix(".png")
    if not other.is_file():
        return "image/svg+xml", base64.b64encode(path.read_bytes()).decode(), None
    packed = io.BytesIO()
    with reading(other, "`make figures` draws it again"), Image.open(other) as drawn:
        drawn.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(packed, "PNG", optimize=True)
        return "image/png", base64.b64encode(packed.getvalue()).decode(), drawn.width * 96 // DPI


def _place(order: tuple[str, ...] | list[str], name: str) -> int:
    return order.index(name) if name in order else len(order)


def _inputs(results: Path) -> dict[str, str]:
    """All but the scores, whose hashes the manifests have."""
    patterns = (
        "accuracies/*",
        "costs/*",
        "scores/*/manifest.json",
        "tables/*.csv",
        "tables/*.md",
        "figures/*.svg",
        "figures/*.png",
    )
    paths = sorted({path for pattern in patterns for path in results.glob(pattern) if path.is_file()})
    return {path.relative_to(results).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
