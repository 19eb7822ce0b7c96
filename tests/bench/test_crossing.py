"""Crossings: weights and images drawn apart, resumed without a second pass, and split into shares of variance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bench.measure.crossing
from analysis.studies.variance import shares
from analysis.tables.registry import REGISTRY, Sources
from bench.benchmarks import benchmark
from bench.measure.crossing import COLUMNS, cross, read
from bench.plan import Pass, select
from bench.worker import Outcome, Setup, Worker
from common.errors import BadInput
from proxies import registry
from proxies.registry import create
from spaces.nb201.space import NB201

pytestmark = pytest.mark.slow

NAMES = ("nwot", "zen")


def _proxies() -> list[registry.Proxy]:
    return [registry.create(name) for name in NAMES]


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cross(benchmark("digits"), _proxies(), 2, 2, tmp_path_factory.mktemp("crossings"))


def test_every_combination_has_a_score(crossed: Path) -> None:
    rows, made = read(crossed)
    assert list(rows) == COLUMNS
    assert len(rows) == len(rows.drop_duplicates(COLUMNS[:5])) == 2 * 2 * 2 * 2 * 2
    assert set(rows["cell"]) == set(select("functions", NB201, 2))
    assert set(rows.loc[rows["proxy"] == "nwot", "init"]) == {"default", "kaiming"}
    assert set(rows.loc[rows["proxy"] == "zen", "init"]) == {"gaussian", "default"}
    assert made["sample"] == made["draws"] == 2


def test_equal_seeds_give_the_benchmarks_own_scores(crossed: Path) -> None:
    rows, _ = read(crossed)
    worker = Setup(benchmark("digits"), tuple(map(create, NAMES)), (), None, "cpu")()
    cell = select("functions", NB201, 2)[1]
    for seed in (0, 1):
        for number, init in enumerate(("default", "gaussian")):
            (outcome,) = worker.score(Pass(seed, init, cell, (number,)))
            same = rows[rows["proxy"].eq(NAMES[number]) & rows["init"].eq(init) & rows["cell"].eq(cell)]
            same = same[same["weights"].eq(seed) & same["images"].eq(seed)]
            assert same["score"].tolist() == [outcome.score]


def test_each_seed_moves_what_it_draws(crossed: Path) -> None:
    rows, _ = read(crossed)
    own = rows.query("proxy == 'nwot' and init == 'default'").set_index(["cell", "weights", "images"])["score"]
    for cell in select("functions", NB201, 2):
        assert len({own[cell, weights, images] for weights in (0, 1) for images in (0, 1)}) == 4


def test_a_stopped_crossing_goes_on_where_it_was(
    crossed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 0
    score = Worker.score

    def stopping(self: Worker, task: Pass) -> list[Outcome]:
        nonlocal count
        count += 1
        if count == 10:
            raise KeyboardInterrupt
        return score(self, task)

    monkeypatch.setattr(Worker, "score", stopping)
    with pytest.raises(KeyboardInterrupt):
        cross(benchmark("digits"), _proxies(), 2, 2, tmp_path)
    first = count
    cross(benchmark("digits"), _proxies(), 2, 2, tmp_path)
    whole, again = (read(path)[0] for path in (crossed, tmp_path / "digits.csv.gz"))
    passes = 2 * 2 * 2 * 3  # default serves both proxies, kaiming and gaussian one
    assert first < passes < count < first + passes
    pd.testing.assert_frame_equal(whole, again)


def test_other_settings_are_refused(crossed: Path) -> None:
    with pytest.raises(BadInput, match="other proxies, sample or draws"):
        cross(benchmark("digits"), _proxies(), 3, 2, crossed.parent)


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "digits.csv.gz").write_bytes(b"not gzip")
    with pytest.raises(BadInput, match="cannot read"):
        cross(benchmark("digits"), _proxies(), 2, 2, tmp_path)


def _rows(score: object) -> pd.DataFrame:
    """A crossing of 40 cells, 3 x 3 draws and two initialisations; `score(init, cell, weights, images)`."""
    levels = [(init, cell, w, i) for w in range(3) for i in range(3) for cell in range(40) for init in ("b", "a")]
    return pd.DataFrame(
        [["p", init, cell, w, i, score(init, cell, w, i), "ok"] for init, cell, w, i in levels],  # type: ignore[operator]
        columns=COLUMNS,
    )


def test_a_ranking_that_never_moves_is_all_cell() -> None:
    (one,) = shares(_rows(lambda init, cell, w, i: cell + 100 * w + 7000 * i + 90000 * (init == "a")))
    assert one.cell == pytest.approx(1)
    assert one.cell_own == pytest.approx(1)
    assert (one.weights, one.images, one.init, one.rest) == pytest.approx((0, 0, 0, 0))


def test_each_source_of_noise_gets_its_share() -> None:
    draw = np.random.default_rng(0)
    true, by_weights, by_images = draw.normal(size=40), draw.normal(size=(3, 40)), draw.normal(size=(3, 40))
    by_init = {name: draw.normal(size=40) for name in "ab"}

    (weights,) = shares(_rows(lambda init, cell, w, i: true[cell] + by_weights[w, cell]))
    assert weights.weights > 0.3
    assert weights.cell > 0.3
    assert weights.images < 0.02
    assert weights.init < 0.02
    (images,) = shares(_rows(lambda init, cell, w, i: true[cell] + by_images[i, cell]))
    assert images.images > 0.3
    assert images.images_own > 0.3
    assert images.weights < 0.02
    (init,) = shares(_rows(lambda init, cell, w, i: true[cell] + by_init[init][cell]))
    assert init.init > 0.3
    assert init.weights < 0.02
    assert init.cell_own == pytest.approx(1)
    noise = draw.normal(size=(2, 40, 3, 3))
    (rest,) = shares(_rows(lambda init, cell, w, i: true[cell] + noise["ab".index(init), cell, w, i]))
    assert rest.rest > 0.3
    assert max(rest.weights, rest.images, rest.init) < 0.1


def test_cells_without_all_scores_are_left_out_and_counted() -> None:
    rows = _rows(lambda init, cell, w, i: cell)
    rows.loc[rows["cell"].eq(7) & rows["weights"].eq(1), "score"] = np.nan
    (one,) = shares(rows)
    assert (one.n, one.failed) == (39, 6)


def test_a_ranking_without_differences_has_no_shares() -> None:
    (one,) = shares(_rows(lambda init, cell, w, i: 1.0))
    assert all(np.isnan([one.cell, one.rest, one.cell_own, one.rest_own]))


def test_the_table_says_what_it_is_of(crossed: Path, tmp_path: Path) -> None:
    definition, sources = REGISTRY["variance-{}"], Sources(benchmark("digits"), crossings=crossed.parent)
    frame = definition.frame(sources)
    assert frame is not None
    written = definition.table(frame, sources).write(tmp_path / "variance-digits")
    assert [path.name for path in written] == [f"variance-digits.{ending}" for ending in ("csv", "md", "tex")]
    assert "2 functions x 2 draws" in written[1].read_text()
    assert set(pd.read_csv(written[0])["proxy"]) == set(NAMES)
    assert definition.frame(Sources(benchmark("cifar10"), crossings=crossed.parent)) is None
    assert Path("results/crossings") == bench.measure.crossing.FOLDER
