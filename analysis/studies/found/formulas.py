"""Formulas that a search has found (`search/formula/`), judged where it has not looked, beside hand-made proxies.

A formula was chosen for ranking one half of the functions with some seeds of the statistics. What it is worth is told
by the other half, by other seeds, and by other benchmarks; what searching alone finds by the control.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.read.columns import BASELINE, label_cells
from analysis.read.labels import load_labels
from analysis.read.scores import judged_columns, published
from analysis.stats.comparison import Difference, holm, over, spearman
from analysis.stats.correlation import spearman_interval
from bench.benchmarks import Benchmark, names
from bench.benchmarks import benchmark as named
from common import results
from common.errors import BadInput
from common.formats import reading
from common.shipped import here_or_shipped
from distill.tables import table_path
from search.formula.halves import halves, shuffled
from search.formula.records import AGAIN, CONTROL, FOLDER, read
from search.trained import labelled

PROXY = "proxy"
"""The kind of what nobody searched for."""
BEST = 3
"""Hand-made proxies that are shown, beside params: those that rank the other half best."""
_FORMULA = "the formula"
SURE = 0.05


class Rho(NamedTuple):
    """A Spearman correlation, or a difference of two, with its 95 % interval; NaN where there is none."""

    value: float
    low: float
    high: float


NONE = Rho(math.nan, math.nan, math.nan)


class Beside(NamedTuple):
    """A formula beside all hand-made proxies on the same functions: its Spearman less that of the best of them, with
    Holm's p over all of them and all formulas, and how many of them it ranks better than, beyond doubt."""

    best: str
    over: Rho
    p: float
    beaten: int
    proxies: int


@dataclass(frozen=True)
class Judged:
    """A `Judged` is a formula or a proxy on the searched half (`searched`) and on the other with the seeds that were
    searched by (`other`) and with the others (`seeds`); a control is held against its shuffled labels. `beside` is on
    the other half, means over all seeds; `elsewhere` has other benchmarks by name, means over all seeds."""

    kind: str
    run: float
    name: str
    size: float
    judged: float
    searched: Rho
    other: Rho
    seeds: Rho
    beside: Beside | None
    elsewhere: Mapping[str, tuple[Rho, Beside | None]]


@dataclass(frozen=True)
class _Functions:
    """Labelled functions of a benchmark, and the scores of hand-made proxies, all seeds' means."""

    setting: Benchmark
    labels: pd.Series
    proxies: pd.DataFrame

    def rho(self, values: pd.Series, labels: pd.Series | None = None) -> Rho:
        """Of values by cell with these labels, the functions' own unless told, on the cells that have both."""
        given = self.labels if labels is None else labels.reindex(self.labels.index)
        both = pd.DataFrame({"value": values.reindex(given.index), "label": given}, dtype=float)
        both = both[np.isfinite(both).all(axis=1)]
        found = both["value"].to_numpy(), both["label"].to_numpy()
        value = spearman(*found)
        return NONE if math.isnan(value) else Rho(value, *spearman_interval(*found, self.groups(both.index)))

    def groups(self, cells: pd.Index) -> np.ndarray:
        """The classes of cells."""
        return np.array(self.setting.space.representatives("function"))[cells.to_numpy(dtype=int)]

    def of(self, cells: Sequence[int]) -> _Functions:
        """Some of them."""
        return _Functions(self.setting, self.labels.reindex(cells).dropna(), self.proxies.reindex(cells))

    @cached_property
    def best(self) -> list[str]:
        """The hand-made proxies, the highest Spearman first."""
        found = {str(name): self._spearman(column) for name, column in self.proxies.items()}
        return sorted((name for name, rho in found.items() if not math.isnan(rho)), key=lambda name: -found[name])

    def _spearman(self, values: pd.Series) -> float:
        both = pd.DataFrame({"value": values, "label": self.labels}).dropna()
        return spearman(both["value"].to_numpy(), both["label"].to_numpy())

    def beside(self, formulas: Mapping[int, pd.Series]) -> dict[int, Beside]:
        """Formulas, by number, beside the proxies; without those whose values do not rank, or where there are none."""
        tested = {number: found for number, values in formulas.items() if (found := self._over(values))}
        corrected = iter(holm(np.array([one.p_value for found in tested.values() for one in found])))
        return {
            number: self._summed_up([replace(one, p_holm=float(next(corrected))) for one in found])
            for number, found in tested.items()
        }

    def _over(self, values: pd.Series) -> list[Difference]:
        """Each proxy minus a formula, the best proxy first."""
        own = values.reindex(self.labels.index)
        if not self.best or math.isnan(self._spearman(own)):
            return []
        frame = self.proxies[self.best].reindex(self.labels.index).assign(**{_FORMULA: own})
        return [*over(_FORMULA, frame, self.labels, self.groups(self.labels.index)).values()]

    def _summed_up(self, found: Sequence[Difference]) -> Beside:
        best = next(one for one in found if one.a == self.best[0])
        beaten = sum(one.high < 0 and one.p_holm < SURE for one in found)
        return Beside(best.a, Rho(-best.difference, -best.high, -best.low), best.p_holm, beaten, len(found))


@dataclass(frozen=True)
class _Study:
    """A finished search on a benchmark, with all that it is judged by."""

    setting: Benchmark
    numbers: list[int]
    """Those of formulas that are no control's."""
    values: pd.DataFrame
    searched_by: list[int]
    """The seeds of statistics that the search saw."""
    scores: Path
    whole: _Functions
    elsewhere: dict[str, _Functions]

    @cached_property
    def halves(self) -> tuple[_Functions, _Functions]:
        """The searched half and the other."""
        searched, other = halves([*self.whole.labels.index], self.setting)
        return self.whole.of(searched), self.whole.of(other)

    @cached_property
    def other_seeds(self) -> list[int]:
        """Those that the search did not see."""
        own = self.values.loc[self.values["benchmark"] == self.setting.name, "seed"]
        return sorted(set(own) - set(self.searched_by))

    @cached_property
    def proxies(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Scores of hand-made proxies, means over the seeds that were searched by, and over the others."""
        seen = _columns(self.setting, self.scores, self.searched_by)
        return seen, _columns(self.setting, self.scores, self.other_seeds)

    def formula(self, row: Mapping[str, Any]) -> Judged:
        """Judge one that was found, is of a control, or was given."""
        own = self.values[self.values["number"] == row["number"]]
        by_seed, is_control = _by_seed(own, self.setting.name), row["kind"] == CONTROL
        labels = self._shuffled(int(row["run"])) if is_control else self.whole.labels
        searched, other = self.halves
        seen, unseen = by_seed[self.searched_by].mean(axis=1), by_seed[self.other_seeds].mean(axis=1)
        return Judged(
            kind=str(row["kind"]),
            run=float(row["run"]),
            name=str(row["formula"]),
            size=float(row["size"]),
            judged=float(row["judged"]),
            searched=searched.rho(seen, labels),
            other=other.rho(seen, labels),
            seeds=other.rho(unseen, labels),
            beside=self.besides[self.setting.name].get(row["number"]),
            elsewhere={} if is_control else {name: self._there(row["number"], name) for name in self.elsewhere},
        )

    @cached_property
    def besides(self) -> dict[str, dict[int, Beside]]:
        """By benchmark all formulas but those of controls beside the proxies; of the benchmark itself on the other
        half."""
        places = {self.setting.name: self.halves[1], **self.elsewhere}
        return {
            name: functions.beside({number: self._mean(number, name) for number in self.numbers})
            for name, functions in places.items()
        }

    def _mean(self, number: int, benchmark: str) -> pd.Series:
        """A formula's values, means over all seeds."""
        return _by_seed(self.values[self.values["number"] == number], benchmark).mean(axis=1)

    def _there(self, number: int, benchmark: str) -> tuple[Rho, Beside | None]:
        return self.elsewhere[benchmark].rho(self._mean(number, benchmark)), self.besides[benchmark].get(number)

    def _shuffled(self, run: int) -> pd.Series:
        return pd.Series(shuffled(self.whole.labels.to_dict(), run))

    def proxy(self, name: str) -> Judged:
        """Judge a hand-made proxy on the same functions."""
        searched, other = self.halves
        seen, unseen = (columns[name] for columns in self.proxies)
        there = {
            where: (each.rho(each.proxies[name]), None)
            for where, each in self.elsewhere.items()
            if name in each.proxies
        }
        return Judged(
            PROXY,
            math.nan,
            name,
            math.nan,
            math.nan,
            searched.rho(seen),
            other.rho(seen),
            other.rho(unseen) if self.other_seeds else NONE,
            None,
            there,
        )


def judge(
    setting: Benchmark,
    folder: Path = FOLDER,
    scores: Path = results.SCORES,
    accuracies: Path = results.ACCURACIES,
    further: Mapping[str, str] | None = None,
) -> list[Judged]:
    """Judge the formulas found on a benchmark, then params and the best proxies; `further` are files of labels by the
    benchmark that they are of. Raises BadInput, also where the labels are no longer those that were searched by."""
    formulas, values, settings = read(setting.name, folder)
    if labelled(setting, accuracies).recipe_hash != settings["labels"].get("recipe_hash"):
        raise BadInput(f"{folder / setting.name}.json was searched by labels of another recipe: {AGAIN}")
    elsewhere = {
        name: _functions(named(name), scores, accuracies)
        for name in values["benchmark"].unique()
        if name != setting.name and name in names() and _has_labels(name, accuracies)
    }
    for name, file in (further or {}).items():
        elsewhere[name] = _by_file(named(name), scores, file)
    whole = _functions(setting, scores, accuracies)
    numbers = [int(number) for number in formulas.loc[formulas["kind"] != CONTROL, "number"]]
    study = _Study(setting, numbers, values, [int(seed) for seed in settings["seeds"]], scores, whole, elsewhere)
    with reading(folder / f"{setting.name}-values.csv.gz", AGAIN):
        found = [study.formula(row) for row in formulas.to_dict("records")]
    best = [name for name in study.halves[1].best if name != BASELINE]
    return found + [study.proxy(name) for name in (BASELINE, *best[:BEST])]


def _by_seed(values: pd.DataFrame, benchmark: str) -> pd.DataFrame:
    """A formula's values on a benchmark by cell and seed, of the cells that have a finite one with each seed."""
    own = values[values["benchmark"] == benchmark].pivot(index="cell", columns="seed", values="value").astype(float)
    return own[np.isfinite(own).all(axis=1)]


def _functions(setting: Benchmark, scores: Path, accuracies: Path) -> _Functions:
    """The labelled functions of a benchmark. Raises BadInput."""
    labels = pd.Series(labelled(setting, accuracies).accuracy)
    return _Functions(setting, labels, _columns(setting, scores, []).reindex(labels.index))


def _has_labels(benchmark: str, accuracies: Path) -> bool:
    return here_or_shipped(table_path(benchmark, "distilled", accuracies)).is_file()


def _by_file(setting: Benchmark, scores: Path, file: str) -> _Functions:
    """Functions of a benchmark with the labels in a file. Raises BadInput."""
    labels = label_cells(load_labels(file, setting.name), "functions")
    return _Functions(setting, labels, _columns(setting, scores, []).reindex(labels.index))


def _columns(setting: Benchmark, scores: Path, seeds: Sequence[int]) -> pd.DataFrame:
    """Mean scores of functions over these seeds; over all that there are of proxies that lack them, or of no seeds."""
    tables = published(scores, setting.name) if here_or_shipped(scores / setting.name).is_dir() else {}
    chosen = {name: table[[*seeds]] if seeds and set(seeds) <= set(table) else table for name, table in tables.items()}
    return pd.DataFrame(judged_columns(chosen, setting, "functions"))
