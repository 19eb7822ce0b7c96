"""How far a proxy's ranking moves when the teacher changes, beside how far it moves with the draw of weights.

Rankings under two teachers are compared seed by seed: the same students, of the same weights, on the same batch, before
another teacher. Two seeds under one teacher differ in weights and batch. All of it on the cells that have a score under
every teacher and seed, because the cells move a correlation more than most teachers do.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analysis.read.columns import label_cells
from analysis.read.labels import load_labels
from analysis.read.scores import published_rows, scores_of
from analysis.stats.comparison import Difference, compare
from analysis.stats.correlation import Correlation
from analysis.stats.reliability import Reliability, reliability
from analysis.studies.correlate import judge
from analysis.typeset import between, number
from bench.benchmarks import TEACHERS, Benchmark, teacher_name
from bench.plan import select_of
from bench.store import ScoreStore
from common.cli import print_table
from common.errors import BadInput
from distill.tables import FOLDER, table_path
from proxies.base import Proxy
from spaces.space import Space


@dataclass(frozen=True)
class Agreement:
    """Two rankings: means over the seeds that both have; NaN where that is none or a side is constant."""

    kendall: float
    spearman: float
    seeds: list[int]


@dataclass(frozen=True)
class UnderTeacher:
    """What a proxy makes of one teacher; without a score of any cell, `reason` says why, and nothing is compared."""

    teacher: str
    seeds: list[int]
    between_seeds: Reliability | None
    """None with a single seed."""
    labels: Correlation | None
    """Of the mean over seeds with the labels; None with fewer than three."""
    gap: Difference | None
    """Spearman with the labels minus that under the first teacher, paired; None without labels, and of the first."""
    reason: str = ""


@dataclass(frozen=True)
class Study:
    """The teachers that there are scores of a proxy with, the benchmark's own first."""

    proxy: str
    benchmark: str
    cells: str
    n: int
    """Cells compared."""
    labelled: int
    """Those of them that have a label."""
    against: str | None
    """The labels; None where there is no table."""
    teachers: list[UnderTeacher]
    agreement: dict[tuple[str, str], Agreement]
    """By names of two teachers, in both orders."""


@dataclass(frozen=True)
class Scores:
    """Scores of one proxy by teacher: cells in rows, seeds in columns, NaN for none.

    `reasons`: of teachers without any score, why.
    """

    by_teacher: dict[str, pd.DataFrame]
    reasons: dict[str, str]

    @property
    def names(self) -> list[str]:
        """The teachers with scores, the benchmark's own first."""
        return sorted(self.by_teacher, key=_order)


def study(store: Path, setting: Benchmark, proxy: Proxy, cells: str, against: str | None = None) -> Study:
    """Compare what is stored. Raises BadInput where fewer than two teachers, or three common cells, have scores."""
    opened = ScoreStore(store, write=False)
    frames: dict[str, pd.DataFrame] = {}
    reasons: dict[str, str] = {}
    for record in opened.teachers(setting.name, proxy):
        stored = opened.scores(setting.name, proxy, record)
        columns = {entry.seed: pd.Series({row.cell: row.score for row in entry.rows}, dtype=float) for entry in stored}
        why = _reason([(row.status, row.reason) for entry in stored for row in entry.rows])
        _add(teacher_name(setting.name, record), pd.DataFrame(columns), why, frames, reasons)
    scores = Scores(frames, reasons)
    if len(frames) < 2:
        raise BadInput(_too_few(store, setting, proxy, scores))
    return compared(scores, setting, proxy, cells, against)


def published_scores(folder: Path, setting: Benchmark, proxy: Proxy) -> Scores:
    """What `bench export --teacher` has published: `proxy` and `proxy@teacher`. Raises BadInput."""
    frames: dict[str, pd.DataFrame] = {}
    reasons: dict[str, str] = {}
    found = published_rows(folder, setting.name, lambda name: name.partition("@")[0] == proxy.label)
    for name, rows in found.items():
        why = _reason(list(zip(rows["status"], rows["reason"], strict=True)))
        _add(name.partition("@")[2] or "default", scores_of(rows), why, frames, reasons)
    return Scores(frames, reasons)


def _add(teacher: str, frame: pd.DataFrame, why: str, frames: dict[str, pd.DataFrame], reasons: dict[str, str]) -> None:
    """Among those with scores, or those without."""
    frame = frame.dropna(axis=1, how="all")
    if frame.size:
        frames[teacher] = frame
    else:
        reasons[teacher] = why


def compared(scores: Scores, setting: Benchmark, proxy: Proxy, cells: str, against: str | None = None) -> Study:
    """Compare rankings under two teachers or more. Raises BadInput where fewer than three cells have all scores."""
    names, chosen = scores.names, set(select_of(cells, setting))
    common = sorted(set.intersection(chosen, *(set(frame.dropna().index) for frame in scores.by_teacher.values())))
    if len(common) < 3:
        raise BadInput(
            f"{proxy.label} has a score under every teacher ({', '.join(names)}) in only {len(common)} cells of the "
            f"set '{cells}': score the same cells with each"
        )
    frames = {name: scores.by_teacher[name].loc[common] for name in names}
    if against is None and table_path(setting.name, "distilled", FOLDER).exists():
        against = "distilled"
    labels = pd.Series(dtype=float)
    if against is not None:
        labels = label_cells(load_labels(against, setting.name), cells)
        labels = labels[labels.index.isin(common)]
    return Study(
        proxy=proxy.label,
        benchmark=setting.name,
        cells=cells,
        n=len(common),
        labelled=len(labels),
        against=against,
        teachers=[
            *(_under(name, frames, names[0], labels, setting.space) for name in names),
            *(
                UnderTeacher(name, [], None, None, None, scores.reasons[name])
                for name in sorted(scores.reasons, key=_order)
            ),
        ],
        agreement={(a, b): _agreement(frames[a], frames[b]) for a, b in itertools.permutations(names, 2)},
    )


def _order(name: str) -> tuple[int, str]:
    return (TEACHERS.index(name) if name in TEACHERS else len(TEACHERS), name)


def _reason(rows: list[tuple[str, str]]) -> str:
    """Why most rows, status and reason, have no score."""
    ((status, reason), _), *_ = Counter(rows).most_common(1) or [(("", ""), 0)]
    return f"{status}: {reason}" if status else "no cell scored yet"


def _too_few(store: Path, setting: Benchmark, proxy: Proxy, scores: Scores) -> str:
    names, reasons = scores.names, scores.reasons
    without = "".join(f"; with {name} none has a score ({reason})" for name, reason in reasons.items())
    missing = [name for name in ("default", "resnet56", "best") if name not in (*names, *reasons)][: 2 - len(names)]
    runs = " and ".join(
        f"`python -m bench run {proxy.label} --benchmark {setting.name} --teacher {name} --store {store}`"
        for name in missing
    )
    return (
        f"{store} has scores of {proxy.label} on {setting.name} with {len(names)} of the two or more teachers that a "
        f"study needs ({', '.join(names) or 'none'}){without}: run {runs}"
    )


def _under(name: str, scores: dict[str, pd.DataFrame], first: str, labels: pd.Series, space: Space) -> UnderTeacher:
    seeds = [int(seed) for seed in scores[name].columns]
    judged = gap = None
    if len(labels) >= 3:
        mean, of_first = (scores[each].mean(axis=1) for each in (name, first))
        judged = judge(name, seeds, mean, labels, space).correlation
        gap = None if name == first else _gap(mean, of_first, labels, space)
    return UnderTeacher(name, seeds, reliability(scores[name]), judged, gap)


def _gap(scores: pd.Series, of_first: pd.Series, labels: pd.Series, space: Space) -> Difference:
    columns = pd.DataFrame({"this": scores, "first": of_first}).loc[labels.index]
    groups = np.array(space.representatives("function"))[labels.index.to_numpy(dtype=int)]
    return compare(columns, labels, groups)[0]


def _agreement(a: pd.DataFrame, b: pd.DataFrame) -> Agreement:
    seeds = [int(seed) for seed in a.columns if seed in b.columns]
    pairs = [(a[seed].to_numpy(), b[seed].to_numpy()) for seed in seeds]
    pairs = [pair for pair in pairs if np.ptp(pair[0]) and np.ptp(pair[1])]
    if not pairs:
        return Agreement(math.nan, math.nan, seeds)
    kendall = np.mean([stats.kendalltau(*pair, variant="b").statistic for pair in pairs])
    spearman = np.mean([stats.spearmanr(*pair).statistic for pair in pairs])
    return Agreement(float(kendall), float(spearman), seeds)


def entries(found: Study) -> list[dict[str, Any]]:
    """One entry a teacher for JSON: a number that is not known is null."""

    def known(value: float | None) -> float | None:
        return None if value is None or math.isnan(value) else value

    listed = []
    for each in found.teachers:
        others = {b: agreement for (a, b), agreement in found.agreement.items() if a == each.teacher}
        listed.append(
            {
                "proxy": found.proxy,
                "benchmark": found.benchmark,
                "cells": found.cells,
                "teacher": each.teacher,
                "seeds": each.seeds,
                "n": 0 if each.reason else found.n,
                "reason": each.reason,
                "against": found.against,
                "labelled": 0 if each.reason else found.labelled,
                **{
                    name: known(getattr(each.labels, name, None))
                    for name in ("kendall", "spearman", "spearman_low", "spearman_high")
                },
                "gap": {
                    "spearman": known(getattr(each.gap, "difference", None)),
                    **{name: known(getattr(each.gap, name, None)) for name in ("low", "high")},
                },
                "between_seeds": {
                    name: known(getattr(each.between_seeds, name, None)) for name in ("kendall", "spearman")
                },
                "agreement": {
                    name: {"kendall": known(a.kendall), "spearman": known(a.spearman), "seeds": a.seeds}
                    for name, a in others.items()
                },
            }
        )
    return listed


def print_study(found: Study) -> None:
    """The study for people, on standard output."""
    shown = [each for each in found.teachers if not each.reason]
    names = [each.teacher for each in shown]
    print(f"{found.proxy} on {found.benchmark} with {len(names)} teachers; cell set '{found.cells}', {found.n} cells")
    _print_labels(found, shown)
    print("Kendall (above the diagonal) and Spearman (below it) between rankings of the same students and seeds under")
    print("two teachers; on the diagonal Kendall between two seeds under one teacher, – for a single seed:")
    rows: list[list[object]] = []
    for row, each in enumerate(shown):
        cells = []
        for column, other in enumerate(names):
            if row == column:
                value = each.between_seeds.kendall if each.between_seeds else math.nan
            else:
                agreement = found.agreement[each.teacher, other]
                value = agreement.kendall if row < column else agreement.spearman
            cells.append(number(value, 3))
        rows.append([each.teacher, *cells])
    print_table(["teacher", *names], rows)
    first, *others = shown
    moved = [found.agreement[first.teacher, other.teacher].kendall for other in others]
    known = [value for value in moved if not math.isnan(value)]
    if known:
        print(
            f"Another teacher than {first.teacher}, the same seed: Kendall {min(known):.3f} to {max(known):.3f}, "
            f"median {np.median(known):.3f}."
        )
    if first.between_seeds:
        pairs = math.comb(len(first.seeds), 2)
        print(f"Teacher {first.teacher}, another seed: Kendall {first.between_seeds.kendall:.3f} ({pairs} pairs).")
    else:
        print(f"Teacher {first.teacher} has one seed: run it with --seeds 0-2 to see what the draw of weights moves.")
    for each in found.teachers:
        if each.reason:
            print(f"No cell has a score under {each.teacher} ({each.reason}).")


def _print_labels(found: Study, shown: list[UnderTeacher]) -> None:
    if found.against is None:
        print(f"no table of distilled accuracies of {found.benchmark}: --against names other labels\n")
        return
    if found.labelled < 3:
        print(f"only {found.labelled} of these cells have a label ({found.against}): no correlation with labels\n")
        return
    rows: list[list[object]] = []
    for each in shown:
        c = each.labels
        assert c is not None  # three labels are enough
        gap = ["", ""]
        if each.gap is not None:
            gap = [number(each.gap.difference, 3), between(each.gap.low, each.gap.high, 3)]
        numbers = [number(c.kendall, 3), number(c.spearman, 3), between(c.spearman_low, c.spearman_high, 3)]
        rows.append([each.teacher, c.n, *numbers, *gap, ",".join(map(str, each.seeds))])
    print(f"against {found.against}, mean score of the seeds; 95 % bootstraps over functions, of differences paired:")
    minus = f"minus {shown[0].teacher}"
    print_table(["teacher", "labelled", "Kendall", "Spearman", "95 % interval", minus, "95 % interval", "seeds"], rows)
