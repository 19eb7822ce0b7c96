"""What `analysis correlate` says of what it found: for people, and as JSON."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.read.columns import BASELINE
from bench.plan import hint
from common.cli import print_table

if TYPE_CHECKING:
    from analysis.stats.correlation import Correlation
    from analysis.stats.reliability import Reliability
    from analysis.studies.correlate import Result
    from analysis.studies.over_params import Beside


@dataclass(frozen=True)
class Judged:
    """Results of proxies, then of the baselines, and what stands beside them; `figures` by proxy."""

    benchmark: str
    against: str
    source: str
    cells: str
    labelled: int
    """Cells of the set that have a label."""
    results: list[Result]
    beside: list[Beside]
    reliability: Reliability | None
    store: Path
    figures: dict[str, Path]


def entries(found: Judged) -> list[dict[str, Any]]:
    """An entry a result for JSON, with all that `show` prints: a number that is not known is null."""
    over = {one.proxy: one for one in found.beside}
    return [_known(_entry(found, one, over.get(one.proxy))) for one in found.results]


def _entry(found: Judged, result: Result, over: Beside | None) -> dict[str, Any]:
    difference = over.over if over else None
    figure = found.figures.get(result.proxy)
    return {
        "proxy": result.proxy,
        "benchmark": found.benchmark,
        "against": found.against,
        "source": found.source,
        "cells": found.cells,
        "labelled": found.labelled,
        "scored": result.scored,
        "n": result.correlation.n,
        "coverage": result.coverage,
        **{name: value for name, value in asdict(result.correlation).items() if name != "n"},
        "seeds": result.seeds,
        "failed": result.failed,
        "failed_last": asdict(result.worst) if result.worst else None,
        "over_params": difference.difference if difference else None,
        "over_params_low": difference.low if difference else None,
        "over_params_high": difference.high if difference else None,
        "over_params_p": difference.p_holm if difference else None,
        "over_params_n": difference.n if difference else None,
        "given_params": over.given if over else None,
        "backwards": result in backwards(found.results),
        "ceiling": _agreement(found.reliability) if found.reliability else None,
        "store": str(found.store),
        "figure": str(figure) if figure else None,
    }


def _agreement(found: Reliability) -> dict[str, Any]:
    return asdict(found) | {"reliability": found.reliability, "ceiling": found.ceiling}


def _known(value: Any) -> Any:
    """The value with None for every number that is none, which JSON has no word for."""
    if isinstance(value, dict):
        return {name: _known(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def show(found: Judged) -> None:
    """Print it all; what a reader may have overlooked on standard error."""
    print(
        f"{found.benchmark} against {found.against} ({found.source}); cell set '{found.cells}', "
        f"{found.labelled} labelled cells"
    )
    _print_correlations(found.results)
    _print_counts(found.results)
    for note in _notes(found.results):
        print(f"note: {note}", file=sys.stderr)
    print(_ceiling(found.reliability))
    _print_beside(found.beside)
    print(f"scores: {found.store}")
    for path in found.figures.values():
        print(f"figure: {path}")


def _print_counts(found: Sequence[Result]) -> None:
    """How many of a proxy's scored cells were judged, and where they are few how to score more of these."""
    of_count: dict[tuple[int, int], list[Result]] = {}
    for result in found:
        if result.seeds:
            of_count.setdefault((result.correlation.n, result.scored), []).append(result)
    for (n, scored), results in of_count.items():
        names = ", ".join(result.proxy for result in results)
        print(
            f"{names}: {n} of {scored} scored cells have a label{hint(n, scored, all_of_them=results[0].coverage == 1)}"
        )


def _notes(found: Sequence[Result]) -> Iterator[str]:
    """What is easily overlooked in the numbers."""
    if len({result.correlation.n for result in found}) > 1:
        yield (
            "n differs, and the cells move a correlation: compare two proxies on the same ones, or each with params "
            "below"
        )
    yield from constants(found)
    for result in backwards(found):
        yield (
            f"{result.proxy} ranks backwards, and {BASELINE} does not: larger must be better, so return the negative "
            "of what is small for good networks"
        )


def constants(found: Sequence[Result]) -> list[str]:
    """Why results have no correlation, each reason once."""
    return list(dict.fromkeys(filter(None, (one.constant for one in found))))


def backwards(found: Sequence[Result]) -> list[Result]:
    """The results whose whole interval of Spearman lies below 0 while that of `BASELINE` lies above."""
    if not any(one.proxy == BASELINE and one.correlation.spearman_low > 0 for one in found):
        return []
    return [one for one in found if one.correlation.spearman_high < 0]


def _print_correlations(found: Sequence[Result]) -> None:
    rows: list[list[object]] = []
    for result in found:
        seeds = ",".join(map(str, result.seeds)) or "none needed"
        rows.append([result.proxy, result.correlation.n, f"{result.coverage:.1%}", *_said(result.correlation), seeds])
        if result.worst is not None:
            rows.append(["  failed ranked last", result.worst.n, "", *_said(result.worst), ""])
    print_table(["proxy", "n", "coverage", "Kendall", "Spearman", "95 % interval", "Pearson", "seeds"], rows)


def _print_beside(found: Sequence[Beside]) -> None:
    from analysis.typeset import between, number

    rows: list[list[object]] = [
        [
            one.proxy,
            one.over.n,
            number(one.over.difference, 3, signed=True),
            between(one.over.low, one.over.high, 3, signed=True),
            "< .001" if one.over.p_holm < 0.001 else number(one.over.p_holm, 3),
            number(one.given, 3, signed=True),
        ]
        for one in found
    ]
    print("\nbeside params, on the cells that both score; p corrected for all proxies named (Holm)")
    print_table(["proxy", "n", "Spearman over params", "95 % interval", "p", "partial Spearman given params"], rows)


def _said(found: Correlation) -> list[str]:
    from analysis.typeset import between, number

    interval = between(found.spearman_low, found.spearman_high, 3)
    return [number(found.kendall, 3), number(found.spearman, 3), interval, number(found.pearson, 3)]


def _ceiling(found: Reliability | None) -> str:
    if found is None:
        return "ceiling: unknown, the labels have a single seed"
    return (
        f"ceiling: labels of two seeds agree with Spearman {found.spearman:.3f}, Kendall {found.kendall:.3f} "
        f"({found.cells} cells); reliability of the {found.seeds}-seed mean {found.reliability:.3f}, "
        f"so a proxy that knew the true ranking would reach Spearman {found.ceiling:.3f}"
    )
