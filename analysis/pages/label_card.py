"""The label card: what the accuracies of each benchmark are and say of themselves, for people and for programs.

`python -m analysis readme` writes the table of docs/labels.md, and docs/labels.json with all numbers, from accuracy
tables and `reliability-*.csv`; a test fails while they are not what this module makes of them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from analysis.pages.marks import Marks, replaced
from analysis.pages.sentences import Findings, published
from analysis.typeset import Markdown, Typeset, number, with_interval
from bench.benchmarks import benchmark
from common import results as places
from common.formats import read_csv

PAGE = Path("docs/labels.md")
CARD = Path("docs/labels.json")
MARKS = Marks("<!-- label card: made by `make tables`; do not edit -->", "<!-- end of the label card -->")
KINDS = ("vanilla", "distilled", "gain")
LIMITS = (
    "A label is of one cell of its function.",
    "All seeds share the test images.",
    "Networks are small and trained briefly.",
    "Processors differ in last digits, and a training then ends as far away as another seed's.",
)


def cards(results: Path = places.RESULTS) -> list[dict[str, Any]]:
    """What is to be known of the labels of every benchmark that has a leaderboard, as JSON holds it."""
    return [_card(found, results) for found in published(results)]


def _card(found: Findings, results: Path) -> dict[str, Any]:
    labels, about = found.labels, found.recipe
    mean = f"{labels.loc['distilled', 'seeds']:.0f}"
    distilled, gain = labels.loc["distilled"], labels.loc["gain"]
    return {
        "benchmark": found.benchmark,
        "images": benchmark(found.benchmark).data_set,
        "functions": about["cells"],
        "seeds": about["seeds"],
        "recipe": about["recipe"],
        "recipe_hash": about["recipe_hash"],
        "hardware": about["hardware"],
        "reliability": {
            kind: {
                "one_seed": labels.loc[kind, "spearman"],
                "interval": [labels.loc[kind, "spearman_low"], labels.loc[kind, "spearman_high"]],
                "permutation_p": labels.loc[kind, "p"],
                "mean_of_seeds": labels.loc[kind, f"reliability_{mean}"],
            }
            for kind in KINDS
        },
        "ceiling": distilled[f"ceiling_{mean}"],
        "gain_points": {"mean": gain["mean"], "interval": [gain["mean_low"], gain["mean_high"]], "sd": gain["sd"]},
        "vanilla_with_distilled": {"kendall": distilled["kendall_vanilla"], "spearman": distilled["spearman_vanilla"]},
        "agreement": _agreement(found.benchmark, results),
        "limits": list(LIMITS),
    }


def _agreement(name: str, results: Path) -> list[dict[str, Any]]:
    """Spearman of its distilled accuracy with other label sets, over the functions that all of them have."""
    found = []
    for path in sorted((results / "tables").glob("label-sets*.csv")):
        table = read_csv(path)
        if {"one", "other", "n", "spearman", "low", "high", "upper_half"} <= set(table):
            mine = table[table["one"].eq(f"{name}, distilled") | table["other"].eq(f"{name}, distilled")]
            for row in mine.itertuples():
                other = row.other if row.one == f"{name}, distilled" else row.one
                numbers = {"spearman": row.spearman, "interval": [row.low, row.high], "upper_half": row.upper_half}
                found.append({"labels": other, "functions": int(row.n), **numbers})
    return found


def block(results: Path = places.RESULTS) -> str:
    """The table of the page: a row a benchmark."""
    rows = []
    for card in cards(results):
        steps, batch = card["recipe"]["steps"], card["recipe"]["batch"]
        gain = card["gain_points"]
        rows.append(
            [
                Markdown(f"[{card['benchmark']}](../results/tables/reliability-{card['benchmark']}.md)"),
                f"{card['functions']:,} x {len(card['seeds'])}",
                f"{steps} x {batch}",
                *(_said(card["reliability"][kind]) for kind in ("distilled", "gain")),
                with_interval(gain["mean"], *gain["interval"]),
                number(card["ceiling"]),
            ]
        )
    head = [
        "labels",
        "functions x seeds",
        "steps x batch",
        "two seeds, distilled",
        "two seeds, gain",
        "gain",
        "ceiling",
    ]
    caption = (
        "What they are and say of themselves: Spearman between two seeds [95 %] of distilled accuracy and of the gain, "
        "the mean gain in points, and the Spearman that a proxy would reach which knew the true ranking. All of it, "
        "with recipes and agreement between label sets: [labels.json](labels.json)."
    )
    return Typeset(Markdown(caption), head, rows).markdown()


def _said(found: dict[str, Any]) -> str:
    return with_interval(found["one_seed"], *found["interval"])


def whole_page(text: str, results: Path = places.RESULTS) -> str:
    """docs/labels.md, given as `text`, with its table made anew. Raises BadInput without its marks."""
    return replaced(text, MARKS, block(results), PAGE)


def finite(value: Any) -> Any:
    """For JSON, which has no NaN: what is not known is null, and numbers of NumPy are plain ones."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [finite(one) for one in value]
    if isinstance(value, float):  # NumPy's float64 is one
        return float(value) if math.isfinite(value) else None
    return value
