"""Formulas found on one half of a benchmark's labelled functions, beside a control, with their values everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bench.benchmarks import Benchmark
from bench.plan import labelled_modes
from bench.provenance import provenance
from common.errors import BadInput
from common.files import json_hash
from common.progress import Progress
from distill.teachers import hardware
from search.formula.evolution import Archive, Evolution, Search
from search.formula.expression import Formula
from search.formula.functions import FITNESS, Functions, functions_of, mean_values
from search.formula.halves import halves, shuffled
from search.formula.names import LEAVES, POSITIONS
from search.formula.operations import ARITY
from search.formula.records import CONTROL, FOUND, GIVEN, Found, Value, write
from search.formula.store import FormulaStore, Sweep
from search.formula.sweep import identity
from search.trained import Labelled, labelled

KINDS = {FOUND: "by the labels", CONTROL: "by shuffled labels"}


@dataclass(frozen=True)
class Plan:
    """What is searched, by what, how often, and where else the formulas are to be judged; `seeds` are those of the
    statistics that a search sees."""

    setting: Benchmark
    seeds: tuple[int, ...]
    fitness: str
    runs: int
    controls: int
    evolution: Evolution
    elsewhere: tuple[Benchmark, ...] = ()
    given: tuple[Formula, ...] = ()


@dataclass(frozen=True)
class Line:
    """A formula that is reported, with its fitness on the half that was searched and on the other; of a control by its
    shuffled labels."""

    found: Found
    other: float


@dataclass(frozen=True)
class Study:
    """The searches of a plan over what a store has recorded."""

    plan: Plan
    store: FormulaStore

    @cached_property
    def labels(self) -> Labelled:
        """Those of all functions. Raises BadInput."""
        return labelled(self.plan.setting)

    @cached_property
    def sweeps(self) -> list[Sweep]:
        """The statistics that are searched by. Raises BadInput where functions that have labels lack them."""
        return [_sweep(self.store, self.plan.setting, seed, [*self.labels.accuracy]) for seed in self.plan.seeds]

    @cached_property
    def parts(self) -> tuple[list[int], list[int]]:
        """The searched half and the other. Raises BadInput where three functions a half are not there."""
        searched, other = halves([*self.labels.accuracy], self.plan.setting)
        if len(other) < 3:
            raise BadInput(f"{self.plan.setting.name} has {len(searched + other)} labelled functions: 6 at least")
        return searched, other

    def _seen(self, cells: Sequence[int]) -> list[Functions]:
        return [functions_of(sweep, cells) for sweep in self.sweeps]

    def _fitness(self, cells: Sequence[int], kind: str, run: int) -> Callable[[np.ndarray], float]:
        labels = self.labels.accuracy if kind != CONTROL else shuffled(self.labels.accuracy, run)
        return FITNESS[self.plan.fitness](np.array([labels[cell] for cell in cells]))

    def _record(self, kind: str, run: int) -> dict[str, Any]:
        """All that decides what a search judges."""
        return {
            "benchmark": self.plan.setting.name,
            "kind": kind,
            "run": run,
            "seeds": self.plan.seeds,
            "fitness": self.plan.fitness,
            "evolution": asdict(self.plan.evolution),
            "statistics": [sweep.fingerprint for sweep in self.sweeps],
            "labels": json_hash(sorted(self.labels.accuracy.items())),
            "alphabet": [*LEAVES, *ARITY],
        }

    def run(self, folder: Path) -> tuple[Path, list[Line]]:
        """Search, and write what was found; returns the file and what to say of each formula."""
        lines = [self._line(kind, run) for kind, run in self._searches()]
        lines += [self._given(formula) for formula in self.plan.given]
        numbered = [Line(Found(**(asdict(one.found) | {"number": at})), one.other) for at, one in enumerate(lines)]
        values = list(self._values([one.found for one in numbered]))
        return write([one.found for one in numbered], values, self._settings(), folder), numbered

    def _searches(self) -> Iterator[tuple[str, int]]:
        yield from ((FOUND, run) for run in range(self.plan.runs))
        yield from ((CONTROL, run) for run in range(self.plan.controls))

    def _line(self, kind: str, run: int) -> Line:
        archive = self._search(kind, run)
        if not archive.ranked:
            raise BadInput(f"none of {archive.judged} formulas ranks the functions of {self.plan.setting.name}")
        fitness, formula = archive.best
        verdicts = {name: archive.verdicts[name] for name in ("ok", "same", "constant", "nonfinite")}
        found = _found(kind, run, formula, fitness, archive.judged, verdicts)
        return Line(found, self._on(self.parts[1], formula, kind, run))

    def _search(self, kind: str, run: int) -> Archive:
        searched, _ = self.parts
        # a control has the founders of the run beside it, and other labels
        key = f"{self.plan.setting.name} {run}"
        search = Search(key, self.plan.evolution, self._seen(searched), self._fitness(searched, kind, run))
        number = self.store.search(self._record(kind, run))
        with ExitStack() as stack:
            title = f"formulas {KINDS[kind]}, run {run}"
            bar = stack.enter_context(Progress(title, self.plan.evolution.budget, "formulas"))
            return search.run(self.store, number, bar.advance)

    def _given(self, formula: Formula) -> Line:
        fitness = self._on(self.parts[0], formula, GIVEN, 0)
        verdicts = dict.fromkeys(("ok", "same", "constant", "nonfinite"), 0)
        return Line(_found(GIVEN, None, formula, fitness, 1, verdicts), self._on(self.parts[1], formula, GIVEN, 0))

    def _on(self, cells: Sequence[int], formula: Formula, kind: str, run: int) -> float:
        """Fitness on these functions, those left out that the formula has no value of."""
        values = mean_values(self._seen(cells), formula)
        there = np.flatnonzero(np.isfinite(values)).tolist()
        return self._fitness([cells[at] for at in there], kind, run)(values[there])

    # -- values everywhere

    def _values(self, found: Sequence[Found]) -> Iterator[Value]:
        from search.formula.expression import parse

        formulas = [(one.number, parse(one.formula)) for one in found]
        for setting in (self.plan.setting, *self.plan.elsewhere):
            for seed, functions in _recorded(self.store, setting):
                for number, formula in formulas:
                    for cell, value in zip(functions.cells, functions.values(formula), strict=True):
                        yield Value(number, setting.name, cell, seed, float(value))

    def _settings(self) -> dict[str, Any]:
        searched, other = self.parts
        return {
            "benchmark": self.plan.setting.name,
            "fitness": self.plan.fitness,
            "seeds": self.plan.seeds,
            "runs": self.plan.runs,
            "controls": self.plan.controls,
            "evolution": asdict(self.plan.evolution),
            "alphabet": {"statistics": LEAVES, "operations": ARITY, "positions": POSITIONS},
            "labels": {
                "mode": "distilled",
                "recipe_hash": self.labels.recipe_hash,
                "seeds": self.labels.seeds,
                "functions": {"searched": len(searched), "other": len(other)},
            },
            "statistics": {
                setting.name: {str(seed): sweep.record for seed, sweep in _whole(self.store, setting)}
                for setting in (self.plan.setting, *self.plan.elsewhere)
            },
            "hardware": [hardware("cpu")],
            "commit": provenance("cpu")["commit"],
        }


def _found(
    kind: str, run: int | None, formula: Formula, fitness: float, judged: int, verdicts: dict[str, int]
) -> Found:
    return Found(0, kind, run, str(formula), formula.size, formula.depth, round(fitness, 6), judged, **verdicts)


def _latest(store: FormulaStore, setting: Benchmark, seed: int) -> Sweep | None:
    """The latest sweep of the benchmark as it is today, whatever its images were."""
    for sweep in store.statistics(setting.name, seed):
        if json_hash(identity(setting, sweep.record["batch"]["hash"])) == sweep.fingerprint:
            return sweep
    return None


def _sweep(store: FormulaStore, setting: Benchmark, seed: int, cells: Sequence[int]) -> Sweep:
    """The statistics of these cells. Raises BadInput where some are missing."""
    found = _latest(store, setting, seed)
    there = len(set(cells) & set(found.students)) if found else 0
    if found is None or there < len(cells):
        raise BadInput(
            f"{store.path} has statistics of {there} of the {len(cells)} labelled functions of {setting.name}, seed "
            f"{seed}: `python -m search statistics --benchmark {setting.name} --seeds {seed}` records the others"
        )
    return found


def _whole(store: FormulaStore, setting: Benchmark) -> Iterator[tuple[int, Sweep]]:
    """The seeds with statistics of all functions that have labels; of a benchmark without labels, all seeds."""
    wanted = set(labelled(setting).accuracy) if "distilled" in labelled_modes(setting.name) else set()
    for seed in store.seeds(setting.name):
        found = _latest(store, setting, seed)
        if found is not None and wanted <= set(found.students):
            yield seed, found


def _recorded(store: FormulaStore, setting: Benchmark) -> Iterator[tuple[int, Functions]]:
    """By seed the functions that have labels; of a benchmark without labels all that are recorded."""
    wanted = sorted(labelled(setting).accuracy) if "distilled" in labelled_modes(setting.name) else None
    for seed, sweep in _whole(store, setting):
        yield seed, functions_of(sweep, wanted or sorted(sweep.students))
