"""What `analysis predict` says: the verdict of a study, or a ranking and what to distil next."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from analysis.read.labels import load_labels
from analysis.studies.learned.features import FEATURES
from analysis.tables.found.predictions import RIVALS, first_ahead
from analysis.typeset import between, number
from bench.benchmarks import Benchmark
from common.cli import print_table
from common.errors import unknown
from common.formats import write_csv
from distill.tables import read_table, table_path

SHOWN = 10
KIND = "distilled"


def study(setting: Benchmark, scores: Path, costs: Path, draws: int, workers: int, output: Path, as_json: bool) -> None:
    """Run the study, write it and print from how many labels on each ranking is ahead. Raises BadInput."""
    from analysis.studies.learned import files
    from analysis.studies.learned.study import study as measure

    labels = load_labels(KIND, setting.name)
    seconds = float(read_table(table_path(setting.name, KIND)).rows.groupby("cell")["seconds"].sum().mean())
    found = measure(setting, labels, seconds, scores, costs, draws, workers)
    paths = files.write(found, output)
    if as_json:
        print(json.dumps([found.made | {"rankings": [*map(_known, found.rows.to_dict("records"))]}], indent=2))
        return
    made, rows = found.made, found.rows
    print(
        f"{setting.name}, {KIND} accuracy ({labels.source}): k of {made['labelled']:,} labelled functions, judged on "
        f"the others, {draws} draws; beside {made['best']}, the best proxy, and params"
    )
    head = ["ranking", "features", "labels by", *(f"k = {k}" for k in sorted({*rows["k"]} - {0}))]
    print_table([*head, *(f"beats {name} from" for name in (made["best"], "params"))], list(_lines(rows)))
    print(f"wrote {', '.join(map(str, paths))}")


def _lines(rows: pd.DataFrame) -> Iterator[list[object]]:
    """Spearman at each k, and the smallest k from which on the whole interval is ahead."""
    for names, part in rows[rows["k"] > 0].groupby(["ranking", "features", "choice"], sort=False):
        yield [
            *names,
            *(number(value) for value in part.sort_values("k")["spearman"]),
            *(first_ahead(part, rival) or "never" for rival in RIVALS),
        ]


def _known(row: dict[str, object]) -> dict[str, object]:
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}


def rank(
    setting: Benchmark,
    scores: Path,
    k: int,
    learner: str,
    features: str | None,
    seed: int,
    output: Path,
    as_json: bool,
) -> None:
    """Rank all functions by k labels, write the ranking and print its top, and what to distil next. Raises BadUsage."""
    if features is not None and features not in FEATURES:
        raise unknown("features", features, FEATURES)

    from analysis.studies.learned.rank import rank as ranked

    found = ranked(setting, load_labels(KIND, setting.name), scores, k, learner, features, seed)
    path = output / f"{setting.name}-{k}-labels.csv"
    write_csv(path, found.rows)
    if found.unknown:
        print(
            f"note: {found.unknown:,} functions lack a score and are left out: `make bench PROXY=all "
            f"BENCH={setting.name} CELLS=functions` and `python -m bench export` add them, --features graph needs none",
            file=sys.stderr,
        )
    if as_json:
        print(json.dumps([*map(_known, found.rows.to_dict("records"))], indent=2))
        return
    print(
        f"{setting.name}: {len(found.rows):,} functions ranked by {learner} on {found.features}, from {found.labels} "
        "labels"
    )
    _print("place", found.rows.head(SHOWN), setting)
    print("\nto distil next: the most improvement expected over the best label known, in its standard deviations")
    _print("next", found.rows.nlargest(SHOWN, "improvement"), setting)
    print(f"wrote {path}")


def _print(head: str, rows: pd.DataFrame, setting: Benchmark) -> None:
    lines = [
        [
            place,
            int(row["cell"]),
            str(setting.space.at(int(row["cell"]))),
            number(row["mean"], 2, signed=True),
            between(row["mean"] - 1.96 * row["sd"], row["mean"] + 1.96 * row["sd"], 2, signed=True),
            number(row["label"]),
            number(row["improvement"], 3),
        ]
        for place, row in enumerate(rows.to_dict("records"), start=1)
    ]
    print_table([head, "cell", "architecture", "predicted", "95 %", "label", "improvement"], lines)
