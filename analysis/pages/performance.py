"""docs/performance.md: what a sweep costs and what limits it, from what is committed under results/speed and costs.

`python -m analysis readme` writes the part between the marks; a test fails while it is not what this module makes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.pages.marks import Marks, replaced
from analysis.read import costs
from analysis.typeset import Markdown, Typeset, number
from common import results as places
from common.formats import read_csv, read_json
from spaces.nb201.cell import cells

PAGE = Path("docs/performance.md")
MARKS = Marks("<!-- performance: made by `make tables`; do not edit -->", "<!-- end of the performance -->")
DEAREST = 10
GROWTH = "-growth"
"""How the names of files end that hold whole runs."""


def whole_page(text: str, results: Path = places.RESULTS) -> str:
    """docs/performance.md, given as `text`, with its tables made anew. Raises BadInput without its marks."""
    return replaced(text, MARKS, block(results), PAGE)


def block(results: Path = places.RESULTS) -> str:
    """The tables of the page: sweeps beside the loops, passes over their floors, whole runs, and single proxies."""
    parts = [*_sweeps(results / "speed"), *_runs(results / "speed"), *_costs(results / "costs")]
    return "\n".join(parts)


def in_short(results: Path = places.RESULTS) -> Iterator[str]:
    """A sentence for each benchmark whose sweeps were measured."""
    for name, found, _ in _measured(results / "speed"):
        first = found.iloc[0]
        yield (
            f"`{name}`: a sweep of {first['proxies']} over all {len(cells()):,} cells takes "
            f"{number(_minutes(first), 1)} minutes, {number(first['ratio'], 0)} times less than the conventional loop. "
            f"[performance.md](performance.md) has all proxies that were measured, whole runs, and what limits them.\n"
        )


def _measured(folder: Path) -> Iterator[tuple[str, pd.DataFrame, dict[str, Any]]]:
    """Name, rates and what made them of every measurement of `make speed`."""
    for path in sorted(folder.glob("*.csv")):
        if not path.stem.endswith(GROWTH):
            yield path.stem, read_csv(path), read_json(path.with_suffix(".json"))


def _minutes(one: Mapping[str, Any]) -> float:
    """Of a sweep of ours."""
    return float(one["own"] * one["passes"] / 60)


def _where(made: Mapping[str, Any]) -> str:
    workers = "a Ray cluster" if made.get("executor") == "ray" else f"{made['workers']} workers"
    return f"{workers}, {made['device']}, torch {made['torch']}, commit {made['commit'][:7]}"


def _sweeps(folder: Path) -> Iterator[str]:
    for name, found, made in _measured(folder):
        yield _rates(name, found, _where(made))
        yield _floors(name, made)


def _rates(name: str, found: pd.DataFrame, where: str) -> str:
    rows = [
        [
            one["proxies"].replace(",", ", "),
            number(one["conventional"] * len(cells()) / 60, 0),
            number(_minutes(one), 1),
            number(one["ratio"], 1),
        ]
        for _, one in found.iterrows()
    ]
    caption = (
        f"`{name}`, `make speed`: minutes of a sweep over all {len(cells()):,} cells, extrapolated from a sample; "
        f"{where}."
    )
    return Typeset(Markdown(caption), ["proxies", "conventional loops", "here", "times faster"], rows).markdown()


def _floors(name: str, made: Mapping[str, Any]) -> str:
    """How far passes are from the least that they could take, and what they spend their time on."""
    floors = made["floors"]
    kinds = ("convolutions", "batch norms", "ReLUs", "sums", "pools", "other")
    rows = [
        [
            proxies,
            *(number(1000 * one[key], 0) for key in ("own", "multiply_adds", "bytes")),
            *(number(one[key]) for key in ("over_arithmetic", "over_both")),
            *(number(one["shares"][kind]) for kind in kinds),
        ]
        for proxies, one in floors.items()
    ]
    caption = (
        f"`{name}`, the same run: milliseconds of a pass, what its multiply-adds and its maps take at the rates of "
        f"this machine ({made['multiply_adds_a_second'] / 1e9:.0f} billion multiply-adds and "
        f"{made['bytes_a_second'] / 1e9:.0f} GB a second), how many times both floors that is, and the shares of its "
        f"time. {made['workers']} workers are {number(made['scaling'])} times as fast as one."
    )
    head = ["a pass of", "ms", "arithmetic", "maps", "times the arithmetic", "times both", *kinds]
    return Typeset(Markdown(caption), head, rows).markdown()


def _runs(folder: Path) -> Iterator[str]:
    """Seconds and memory of whole runs."""
    for path in sorted(folder.glob(f"*{GROWTH}.csv")):
        made = read_json(path.with_suffix(".json"))
        rows = [
            [f"{one.cells:,}", f"{one.batch}", number(one.seconds, 1), f"{one.memory:,.0f}"]
            for one in read_csv(path).itertuples(index=False)
        ]
        caption = (
            f"`{path.stem.removesuffix(GROWTH)}`, `python -m bench growth`: whole runs of {made['proxies']}, start of "
            f"the processes included; {_where(made)}."
        )
        yield Typeset(Markdown(caption), ["cells", "batch", "seconds", "MiB"], rows).markdown()


def _costs(folder: Path) -> Iterator[str]:
    """The dearest proxies of each benchmark whose costs were measured."""
    for path in sorted(folder.glob("*.csv")):
        passes, seconds = costs.forwards(folder, path.stem), costs.seconds(folder, path.stem)
        dearest = sorted(passes, key=lambda name: -passes[name])[:DEAREST]
        rows = [[name, number(1000 * seconds[name], 0), number(passes[name], 1)] for name in dearest]
        within = sum(cost <= 2 for cost in passes.values())
        caption = (
            f"`{path.stem}`, `python -m bench cost`: milliseconds of a cell on one thread, and as how many forward "
            f"passes of the same networks, the {len(rows)} dearest of {len(passes)} ([all](proxies.md)); {within} cost "
            f"two passes or fewer. One run of all of them takes {number(1000 * costs.together(folder, path.stem), 0)} "
            f"ms a cell, singly they take {number(1000 * sum(seconds.values()), 0)}."
        )
        yield Typeset(Markdown(caption), ["proxy", "ms", "forward passes"], rows).markdown()
