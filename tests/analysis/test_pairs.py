"""Every two proxies are tested on the same cells, and a page counts whom each is better than."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted import publish_scores
from scipy import stats

from analysis.read.labels import Labels
from analysis.read.scores import judged_columns, published
from analysis.studies.pairs import pairs, spearmans
from analysis.tables import pairs as tables
from bench.benchmarks import benchmark
from bench.plan import select
from spaces.nb201.space import NB201

CELLS = select("functions", NB201, 60)
RNG = np.random.default_rng(3)
ACCURACY = pd.Series(RNG.normal(80, 5, 60), index=CELLS)
LABELS = Labels("accuracy", ACCURACY.to_frame(0), True, "made up", NB201)


def noisy(spread: float) -> dict[int, float | None]:
    return dict(zip(CELLS, (ACCURACY + RNG.normal(0, spread, 60)).astype(float).tolist(), strict=True))


@pytest.mark.slow
def test_all_pairs_are_tested_and_counted(tmp_path: Path) -> None:
    good, poor, noise = noisy(0.5), noisy(6), noisy(500)
    failing = noisy(1) | {CELLS[0]: None}
    publish_scores(tmp_path, {"nwot": {0: good}, "synflow": {0: poor}, "plain": {0: noise}, "snip": {0: failing}})
    columns = judged_columns(published(tmp_path, "digits"), benchmark("digits"), "functions")
    known, found = spearmans(columns, LABELS, "functions"), pairs(columns, LABELS, "functions")
    assert set(known) == {"nwot", "synflow", "plain", "params", "flops"}  # snip has no score of one cell
    assert next(iter(known)) == "nwot"
    assert known["nwot"] == pytest.approx(stats.spearmanr(list(good.values()), ACCURACY).statistic)
    assert len(found) == 10
    by_pair = {(one.a, one.b): one for one in found}
    assert by_pair["nwot", "plain"].difference == pytest.approx(known["nwot"] - known["plain"])
    assert by_pair["nwot", "plain"].p_holm < 0.001

    written = tables.table(tables.frame(found), known, "made up").write(tmp_path / "pairs")
    assert len(pd.read_csv(written[0])) == 10
    rows = {row.split(" | ")[0].removeprefix("| "): row.split(" | ")[1:] for row in written[1].read_text().splitlines()}
    assert rows["nwot"][1:] == ["4", "0", "0 |"]
    assert sum(int(rows[name][1]) for name in known) == sum(int(rows[name][2]) for name in known)
    assert all(sum(int(value.strip(" |")) for value in rows[name][1:]) == 4 for name in known)
