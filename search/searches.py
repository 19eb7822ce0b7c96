"""Searches by one objective: the same method again and again, with other randomness."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.benchmarks import Benchmark
from common.progress import Progress
from search.cells import cell_space, index_of
from search.constraints import Cost, Limit, counts, within
from search.driver import PATIENCE, drive
from search.latency import Latency
from search.method import Method
from search.objective import Objective
from search.records import Found, found
from search.space import Architecture, Space


@dataclass(frozen=True)
class Plan:
    """What all methods have in common. `cells` is the name of the cells to choose from, `limits` are on the student.

    `latency` is there where it is limited.
    """

    benchmark: Benchmark
    cells: str
    limits: tuple[Limit, ...]
    runs: int
    budget: int
    latency: Latency | None = None


def space_of(plan: Plan, chosen: Sequence[int], objective: Objective) -> Space:
    """The chosen cells that the objective can evaluate and that keep the limits. Raises BadUsage where none does."""
    among = sorted(set(chosen) & set(objective.cells))
    costs: dict[str, Cost] = {**counts(plan.benchmark.skeleton)}
    if plan.latency:
        costs["latency"] = plan.latency.of
    return cell_space(within(among, plan.limits, costs), objective.sees)


def settings(method: Method, objective: Objective, plan: Plan, space: Space) -> dict[str, Any]:
    """All that decides what is found."""
    return {
        "benchmark": plan.benchmark.name,
        "objective": objective.name,
        "method": method.label,
        "reference": method.reference,
        "fields": asdict(method),
        "evaluation": objective.settings,
        "cells": plan.cells,
        "limits": {one.what: one.most for one in plan.limits},
        **({"latency": asdict(plan.latency)} if plan.latency else {}),
        "allowed": len(space.allowed),
        "functions": len(set(space.classes)),
        "runs": plan.runs,
        "budget": None if method.exhaustive else plan.budget,
        "patience": PATIENCE,
    }


def search(method: Method, objective: Objective, plan: Plan, space: Space) -> list[Found]:
    """The runs of a method; run n draws from its own stream, keyed by the method's name and n."""

    def evaluate(architecture: Architecture) -> float | None:
        return objective.evaluate(index_of(architecture))

    done = []
    runs = 1 if method.exhaustive else plan.runs
    with Progress(f"{method.label} by {objective.name} on {plan.benchmark.name}", runs, "searches") as bar:
        for run in range(runs):
            asking = method.search(space, random.Random(f"{method.label} {run}"))
            trace = drive(asking, space, evaluate, None if method.exhaustive else plan.budget)
            done.append(found(run, trace, space, plan.benchmark.skeleton, objective.seconds))
            bar.advance(1, failed=trace.answer is None)
    return done
