"""All functions ranked by what k labels teach, and which of them to label next."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.read.columns import label_cells
from analysis.read.labels import Labels
from analysis.read.scores import judged_columns, published
from analysis.studies.learned.draws import CHOICES, chosen
from analysis.studies.learned.features import WITHOUT_SCORES, features
from bench.benchmarks import Benchmark
from common.errors import BadUsage
from search.learners import expected_improvement, learner, normal_scores, standardised

LEAST = 3
"""Labels: two say only which is better."""


@dataclass(frozen=True)
class Ranking:
    """A ranking of all functions whose features are known.

    `rows`, best first: `cell`, `label` (NaN where the learner was told none), `mean` and `sd` of the prediction in
    normal scores, `improvement` expected of a label over the best label known, 0 where there is one.
    """

    rows: pd.DataFrame
    features: str
    labels: int
    unknown: int
    """Functions that are left out, since some feature of theirs is not known."""


def rank(
    setting: Benchmark,
    labels: Labels,
    scores: Path,
    k: int | None = None,
    by: str = "gp",
    of: str | None = None,
    seed: int = 0,
) -> Ranking:
    """Learn from k labels drawn at random, all there are unless told; `of` is what to learn from.

    Unless told that is everything where every function is scored, else what needs no score. Raises BadUsage.
    """
    learn, labelled = learner(by), label_cells(labels, "functions")
    if k is not None and not LEAST <= k <= len(labelled):
        raise BadUsage(
            f"--labels {k}: {setting.name} has {len(labelled)} labelled functions, and {LEAST} are the least"
        )
    functions = [*setting.space.cell_set("functions")]
    without = of in WITHOUT_SCORES
    columns = {} if without else judged_columns(published(scores, setting.name), setting, "functions")
    everywhere = {name: column for name, column in columns.items() if pd.Index(functions).isin(column.index).all()}
    of = of or ("all" if len(everywhere) == len(columns) else "graph")
    found = features(of, setting.space, columns, functions)
    complete = np.isfinite(found).all(axis=1)
    cells = np.array(functions)[complete]
    at = standardised(found[complete])
    told = np.flatnonzero(np.isin(cells, labelled.index))
    if len(told) < LEAST:
        raise BadUsage(f"--features {of}: {len(told)} functions of {setting.name} have both a label and all features")
    known = told[chosen(CHOICES[0], min(k or len(told), len(told)), seed, None, at[told])]
    values = labelled[cells[known]].to_numpy()
    targets = normal_scores(values)
    predicted = learn(at[known], targets, at)
    gain = expected_improvement(predicted, targets.max())
    gain[known] = 0
    shown = np.full(len(cells), np.nan)
    shown[known] = values
    rows = pd.DataFrame(
        {"cell": cells, "label": shown, "mean": predicted.mean, "sd": predicted.sd, "improvement": gain}
    ).sort_values("mean", ascending=False, kind="stable", ignore_index=True)
    return Ranking(rows, of, len(known), len(functions) - len(cells))
