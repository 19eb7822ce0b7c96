"""The network of a cell, handed in as one's own, gets the score that a run of the bench stores, from every proxy."""

from __future__ import annotations

from pathlib import Path

import pytest

import diswot_bench as db
import images
from bench.benchmarks import benchmark
from bench.runner import Request, execute
from bench.store import ScoreStore
from proxies import registry
from spaces.draw import Draw
from spaces.nb201.cell import cell_at
from spaces.nb201.network import CellNetwork

DIGITS = benchmark("digits")


@pytest.mark.slow
def test_a_cells_network_gets_what_is_stored(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path / "s.sqlite")
    # one at a time: cells that run together differ in the last digits, which sums that cancel (`plain`) bring up
    execute(Request(DIGITS, tuple(registry.known()), (0,), cells="functions", limit=2, together=1), store)
    store.close()
    stored = db.scores("digits", tuple(registry.known()), store=tmp_path / "s.sqlite")
    batch, second = images.load("digits").batch(64, 0), images.load("digits").second_batch(64, 0)
    alike: dict[tuple[str, str], list[str]] = {}
    for name, cls in registry.known().items():
        alike.setdefault((cls.init, cls.sees), []).append(name)
    for (cell, seed), row in stored.iterrows():
        assert seed == 0
        for (init, sees), names in alike.items():
            draws = [Draw(0, init, role=role, momentum=0.0) for role in ("", "teacher ")]
            network = CellNetwork(cell_at(cell), DIGITS.skeleton, draws[0], sees)
            skeleton = DIGITS.teacher.skeleton_for(DIGITS.skeleton)
            teacher = CellNetwork(DIGITS.teacher.architecture, skeleton, draws[1], sees)
            found = db.score_all(
                names, {"a": network}, batch.images, batch.labels, teacher=teacher,
                second=(second.images, second.labels),
            )["score"]  # fmt: skip
            for name in names:
                assert found["a", name] == pytest.approx(row[name], rel=1e-6), (cell, name)
    assert len(stored) == 2
