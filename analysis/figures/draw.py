"""All figures of a study, into one folder."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from analysis.figures import costs, effects, fifths, ranking, samples, scores, similarity
from analysis.figures.study import CannotDraw, Study, load
from analysis.figures.style import save, styled
from analysis.read.costs import FOLDER as MEASURED
from analysis.read.labels import Labels
from analysis.read.scores import FOLDER as SCORES
from analysis.studies.correlate import Result
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


def draw_one(result: Result, benchmark: str, against: str, which: str, quantity: str, output: Path) -> Path:
    """Draw one proxy's scores against labels: `<benchmark>-<proxy>-<against>.png`."""
    title = f"{benchmark}, {quantity.split(',')[0]}\n{result.correlation.n:,} labelled cells of '{which}'"
    with styled():
        figure = scores.draw_results([result], title, quantity)
        (path,) = save(figure, output / _stem(benchmark, result.proxy, Path(against).stem), ("png",))
    return path


def _stem(*words: str) -> str:
    """The name of a file, less its ending, that says these words."""
    return re.sub(r"[^A-Za-z0-9.=_-]+", "_", "-".join(words))


def draw(study: Study, cost_folder: Path, output: Path) -> list[Path]:
    """Draw every figure of a study, as `draw_all` does."""
    kinds = KINDS | {"cost": lambda each: costs.draw(each, cost_folder)}
    stem = _stem(study.benchmark, study.against)
    written = []
    for kind, make in kinds.items():
        with styled():
            try:
                written += save(make(study), output / f"{stem}-{kind}")
            except CannotDraw as reason:
                print(f"no figure {stem}-{kind}: {reason}", file=sys.stderr)
    return written
