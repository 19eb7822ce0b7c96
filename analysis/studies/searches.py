"""What searches have found, judged by trained accuracy once they have ended."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from analysis.read import costs
from analysis.read.columns import label_cells
from analysis.read.labels import Labels
from analysis.typeset import between, number
from bench.benchmarks import Benchmark
from bench.plan import select_of
from common.cli import print_table
from common.errors import BadInput
from common.formats import read_csv, read_json
from search.constraints import Cost, Limit, counts, within
from search.latency import of_record
from search.records import FOLDER


class Mean(NamedTuple):
    """A `Mean` is over searches, with standard deviation and Student's 95 % interval; NaN where there are too few."""

    mean: float
    sd: float
    low: float
    high: float


_AGAIN = "search again"
_SETTINGS = ("benchmark", "objective", "method", "evaluation", "cells", "limits")
_COLUMNS = ("cell", "evaluations", "functions", "seconds")
NONE = Mean(math.nan, math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Judged:
    """A `Judged` sums up the searches of one method by one objective; accuracies are means over seeds, in percent.

    `seeds` are those of the scores or trainings that were searched by, `within` the cells and limits, nothing for all;
    of trainings, how many functions there were that had shorter ones too, where these were asked for.
    `regret` is the best label of any cell within the limits minus that of its answer;
    `rank` the place that the answer takes among the `ranked` functions of those cells in the sample, 1 the best. Both
    are over the searches whose answer has a label; `unlabelled` have none. `asked` are the cells that a search asks
    for, those known already and those outside too; NaN in files that do not say. `seconds` are those of all passes or
    trainings that the search asks for, had nothing been there before, on one thread; `speedup` is how many times
    cheaper that is than random search by distilled accuracy with as many seeds within the same cells and limits, where
    there is one, else within all.
    """

    objective: str
    by: str
    method: str
    seeds: int
    within: str
    searches: int
    unlabelled: int
    accuracy: Mean
    vanilla: Mean
    regret: Mean
    rank: Mean
    ranked: int
    evaluations: float
    asked: float
    functions: float
    seconds: float
    speedup: float


def mean(values: Sequence[float] | pd.Series) -> Mean:
    """Take the mean of the values that are numbers."""
    known = np.array(values, dtype=float)
    known = known[~np.isnan(known)]
    if not len(known):
        return NONE
    if len(known) == 1:
        return NONE._replace(mean=float(known[0]))
    sd = float(known.std(ddof=1))
    half = float(stats.t.ppf(0.975, len(known) - 1)) * sd / math.sqrt(len(known))
    return Mean(float(known.mean()), sd, float(known.mean()) - half, float(known.mean()) + half)


def judge(
    setting: Benchmark,
    labels: Mapping[str, Labels],
    folder: Path = FOLDER,
    spent: Path = costs.FOLDER,
    chosen: Mapping[str, Labels] | None = None,
    against: str = "distilled",
) -> tuple[list[Judged], list[int]]:
    """Judge every finished search of a benchmark; returns also the cells found that have no label.

    `labels` are those `against` which they are judged, and `vanilla`, of a sample of the functions; `chosen` those of
    cells that were trained because they were found. Raises BadInput where nothing was searched, or a file is of another
    form.
    """
    by_cell = {kind: label_cells(each, "all") for kind, each in labels.items()}
    sampled = by_cell[against].index
    for kind, each in (chosen or {}).items():
        by_cell[kind] = by_cell[kind].combine_first(label_cells(each, "all"))
    accuracies, vanilla = by_cell[against], by_cell.get("vanilla", pd.Series(dtype=float))
    prices = costs.seconds(spent, setting.name)
    found, missing = [], set()
    for path in finished(setting.name, folder):
        settings, runs = read_json(path, _AGAIN, _SETTINGS), read_csv(path.with_suffix(".csv"), _AGAIN, _COLUMNS)
        found.append(_judged(settings, runs, accuracies, vanilla, sampled, setting, prices))
        missing |= set(runs["cell"].dropna().astype(int)) - set(accuracies.index)
    if not found:
        raise BadInput(f"no searches on {setting.name} in {folder}: `python -m search` makes them")
    random = [one for one in found if (one.method, one.objective) == ("random", "distilled")]
    beside = {(one.seeds, one.within): one.seconds for one in random}
    anywhere = next((one.seconds for one in random if not one.within), math.nan)
    speedups = [beside.get((one.seeds, one.within), anywhere) / one.seconds for one in found]
    return [replace(one, speedup=speedup) for one, speedup in zip(found, speedups, strict=True)], sorted(missing)


def finished(benchmark: str, folder: Path = FOLDER) -> list[Path]:
    """The settings of a benchmark's searches; what else lies in the folder has no objective. Raises BadInput."""
    found = {path: read_json(path, _AGAIN) for path in sorted(folder.glob("*.json"))}
    return [path for path, each in found.items() if "objective" in each and each.get("benchmark") == benchmark]


def _judged(
    settings: dict[str, Any],
    runs: pd.DataFrame,
    accuracies: pd.Series,
    vanilla: pd.Series,
    sampled: pd.Index,
    setting: Benchmark,
    prices: Mapping[str, float],
) -> Judged:
    limits = [Limit(what, most) for what, most in settings["limits"].items()]
    costs_of: dict[str, Cost] = {**counts(setting.skeleton)}
    if "latency" in settings:
        costs_of["latency"] = of_record(settings["latency"]).of
    allowed = pd.Index(within(select_of(settings["cells"], setting), limits, costs_of, setting.space))
    stands_for = np.array(setting.space.representatives("function"))
    known = accuracies[accuracies.index.intersection(allowed)]
    labelled = known[known.index.intersection(sampled)]
    of_functions = labelled.groupby(stands_for[labelled.index.to_numpy(dtype=int)]).mean()
    cells = runs["cell"].astype("Int64")
    accuracy = _labels(cells, accuracies)
    better = [math.nan if math.isnan(one) else 1.0 + float((of_functions > one).sum()) for one in accuracy]
    evaluation = settings["evaluation"]
    price = prices.get(str(evaluation.get("proxy")), math.nan) * len(evaluation["seeds"])
    seconds = runs["functions"] * price if evaluation["by"] == "proxy" else runs["seconds"]
    return Judged(
        objective=settings["objective"],
        by=evaluation["by"],
        method=settings["method"],
        seeds=len(evaluation["seeds"]),
        within=", ".join([*_cells(settings), *(f"{one.what} <= {one.most:.10g}" for one in limits)]),
        searches=len(runs),
        unlabelled=int(accuracy.isna().sum()),
        accuracy=mean(accuracy),
        vanilla=mean(_labels(cells, vanilla)),
        regret=mean(known.max() - accuracy),
        rank=mean(better),
        ranked=len(of_functions),
        evaluations=float(runs["evaluations"].mean()),
        asked=float(runs["asked"].mean()) if "asked" in runs else math.nan,
        functions=float(runs["functions"].mean()),
        seconds=float(seconds.mean()),
        speedup=math.nan,
    )


def _cells(settings: dict[str, Any]) -> list[str]:
    """Among which cells a search was, where it was not among all that its objective can evaluate."""
    named = [] if settings["cells"] == "all" else [settings["cells"]]
    if "shorter" in settings["evaluation"]:
        named.append(f"{settings['functions']:,} functions trained shorter too")
    return named


def _labels(cells: pd.Series, by_cell: pd.Series) -> pd.Series:
    return pd.Series([by_cell.get(cell, math.nan) for cell in cells], dtype=float)


def entry(one: Judged) -> dict[str, Any]:
    """Return a record for JSON, which has no NaN."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mean):
            return {name: plain(part) for name, part in value._asdict().items()}
        return None if isinstance(value, float) and math.isnan(value) else value

    return {name: plain(value) for name, value in vars(one).items()}


def print_judged(found: Sequence[Judged], missing: Sequence[int], benchmark: str, against: str) -> None:
    """Print a table for people; `against` is what accuracy, regret and rank are of."""
    head = [
        "by",
        "seeds",
        "method",
        "within",
        "searches",
        "labelled",
        "accuracy, %",
        "95 % interval",
        "vanilla, %",
        "regret",
        "rank",
    ]
    head += ["evaluations", "asks", "functions", "seconds", "speed-up"]
    rows: list[list[object]] = [
        [
            one.objective,
            one.seeds,
            one.method,
            one.within,
            one.searches,
            one.searches - one.unlabelled,
            f"{number(one.accuracy.mean)} ± {number(one.accuracy.sd)}",
            between(one.accuracy.low, one.accuracy.high),
            f"{number(one.vanilla.mean)} ± {number(one.vanilla.sd)}",
            f"{number(one.regret.mean)} ± {number(one.regret.sd)}",
            f"{number(one.rank.mean, 0)} of {one.ranked}",
            round(one.evaluations),
            number(one.asked, 0),
            round(one.functions),
            number(one.seconds, 1),
            number(one.speedup, 1),
        ]
        for one in found
    ]
    print(f"{benchmark}: students found, by {against} accuracy; mean ± standard deviation over searches")
    print_table(head, rows)
    if missing:
        print(
            f"{len(missing)} of the cells found have no label; accuracy, regret and rank are of the other searches: "
            f"{', '.join(map(str, missing[:10]))}{', ...' if len(missing) > 10 else ''}"
        )
