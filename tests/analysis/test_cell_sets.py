"""The same scores on four sets of cells: each correlation is of the set's own labelled cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted import publish_scores
from scipy import stats

from analysis.read.labels import Labels
from analysis.studies.cell_sets import on_sets
from analysis.tables import cell_sets as tables
from bench.benchmarks import benchmark
from bench.plan import select
from spaces.nb201.equivalence import representatives
from spaces.nb201.sets import SETS, cell_set
from spaces.nb201.space import NB201

pytestmark = pytest.mark.slow

STANDS_FOR = np.array(representatives("function"))
FUNCTIONS = select("functions", NB201, 30)
LABELS = Labels(
    "accuracy", pd.DataFrame({0: np.random.default_rng(1).normal(80, 5, 30)}, index=FUNCTIONS), True, "made up", NB201
)
MEMBERS = np.flatnonzero(np.isin(STANDS_FOR, FUNCTIONS))
SCORES = {int(cell): float(np.sin(cell)) for cell in MEMBERS}


def test_each_set_is_judged_on_its_own_labelled_cells(tmp_path: Path) -> None:
    publish_scores(tmp_path, {"nwot": {0: SCORES}, "snip": {0: {cell: SCORES[cell] for cell in FUNCTIONS}}})
    found = {one.proxy: one.on for one in on_sets(tmp_path, benchmark("digits"), LABELS)}
    assert set(found) == {"nwot", "params", "flops"}  # snip was not tried outside the functions
    for which in SETS:
        cells = [int(cell) for cell in MEMBERS if cell in set(cell_set(which))]
        scores = [SCORES[cell] for cell in cells]
        accuracies = [LABELS.mean[STANDS_FOR[cell]] for cell in cells]
        assert found["nwot"][which].n == len(cells)
        assert found["nwot"][which].spearman == pytest.approx(stats.spearmanr(scores, accuracies).statistic)
    assert len({found["nwot"][which].n for which in SETS}) > 2


def test_the_table_names_the_sizes(tmp_path: Path) -> None:
    publish_scores(tmp_path, {"nwot": {0: SCORES}})
    found = on_sets(tmp_path, benchmark("digits"), LABELS)
    written = tables.table(tables.frame(found), "made up").write(tmp_path / "sets")
    assert "30 functions" in written[1].read_text()
    frame = pd.read_csv(written[0])
    assert frame.groupby("proxy")["set"].apply(list).to_dict() == {key: [*SETS] for key in ("flops", "nwot", "params")}
