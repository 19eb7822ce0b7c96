"""All figures of a study, into one folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from analysis.figures import costs, effects, fifths, ranking, samples, scores, similarity
from analysis.figures.scores import stem_of
from analysis.figures.study import CannotDraw, Study, load
from analysis.figures.style import save, styled
from analysis.read.costs import FOLDER as MEASURED
from analysis.read.labels import Labels
from analysis.read.scores import FOLDER as SCORES
from bench.benchmarks import Benchmark
from common import results

FOLDER = results.FIGURES

KINDS: dict[str, Callable[[Study], Figure]] = {
    "ranking": ranking.draw,
    "scores": scores.draw,
    "similarity": similarity.draw,
    "fifths": fifths.draw,
    "effects": effects.draw,
    "samples": samples.draw,
}
"""File names say them, and results/README.md explains them; `cost` is drawn besides, where costs were measured."""


def draw_all(
    setting: Benchmark,
    against: str,
    labels: Labels,
    which: str,
    scores: Path = SCORES,
    costs: Path = MEASURED,
    output: Path = FOLDER,
    chosen: Sequence[str] | None = None,
) -> list[Path]:
    """Draw every figure, `<benchmark>-<against>-<figure>.{svg,png}`; returns the files written.

    A figure that cannot be drawn costs one line on standard error. Raises BadInput as `load` does.
    """
    return draw(load(scores, setting, against, labels, which, chosen), costs, output)


def draw(study: Study, cost_folder: Path, output: Path) -> list[Path]:
    """Draw every figure of a study, as `draw_all` does."""
    kinds = KINDS | {"cost": lambda each: costs.draw(each, cost_folder)}
    stem = stem_of(study.benchmark, study.against)
    written = []
    for kind, make in kinds.items():
        with styled():
            try:
                written += save(make(study), output / f"{stem}-{kind}")
            except CannotDraw as reason:
                print(f"no figure {stem}-{kind}: {reason}", file=sys.stderr)
    return written
