"""The speed report measures real loops; how fast they are is never asserted."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
import torch

from analysis.figures.speed import draw, draw_all, read
from bench.benchmarks import benchmark
from bench.measure.lower_bound import Work
from bench.measure.speed import (
    FAMILIES,
    Distance,
    NoiseSetup,
    NoiseWorker,
    Speed,
    Speeds,
    _samples,
    measure,
    noise,
    sweep_passes,
    write,
)
from common.errors import BadInput
from proxies.registry import create
from spaces.nb201.cell import cell_at, cells
from spaces.nb201.sets import cell_set
from spaces.nb201.skeleton import CellSkeleton
from spaces.nb201.space import NB201

pytestmark = pytest.mark.slow


def test_ratios_are_of_whole_sweeps() -> None:
    family = Speed("diswot", conventional=0.5, own=0.1, passes=5000)
    assert family.ratio == pytest.approx(0.5 * 15625 / (0.1 * 5000))
    assert Speeds([family], one_worker=0.18, rates=Work(1e9, 1e9), distances=[]).scaling == pytest.approx(1.8)
    distance = Distance("diswot", 0.1, Work(0.05, 0.03), {})
    assert distance.over_arithmetic == pytest.approx(2)
    assert distance.over_both == pytest.approx(1.25)


def test_a_sweep_has_a_pass_for_each_class_that_its_readers_tell_apart() -> None:
    assert sweep_passes("diswot", NB201) == sweep_passes("snip", NB201) == 5044
    assert sweep_passes("nwot", NB201) == sweep_passes("diswot,nwot", NB201) == 5402


def test_noise_has_the_shape_of_the_benchmark() -> None:
    batch = noise(benchmark("cifar100"), "cpu")
    assert batch.images.shape == (64, 3, 32, 32)
    assert batch.labels.max() < 100
    worker = NoiseSetup(benchmark("digits"), (create("diswot"),), (), None, "cpu")()
    assert worker._batch(0).hash == "noise 0"


def test_all_loops_run_and_take_time_and_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("xautodl", reason="the conventional loop runs xautodl's network")
    monkeypatch.setattr("bench.measure.lower_bound.SECONDS", 0.01)
    monkeypatch.setattr("bench.measure.speed.cores", lambda: 1)  # threads that wait for one another spin
    speeds = measure("digits", sample=2, rounds=1, device="cpu", workers=1)
    assert [speed.proxies for speed in speeds.families] == [family.proxies for family in FAMILIES]
    assert all(min(speed.conventional, speed.own) > 0 for speed in speeds.families)
    pair, forward = speeds.families[0], speeds.families[1]
    three = next(speed for speed in speeds.families if speed.proxies == "diswot,nwot,kd")
    assert three.conventional == pytest.approx(2 * pair.conventional + forward.conventional)
    diswot, snip = speeds.distances
    assert min(*diswot.floor, *snip.floor) > 0
    assert snip.floor.multiply_adds == pytest.approx(3 * diswot.floor.multiply_adds)
    path = write(speeds, "digits", {"device": "cpu"}, tmp_path)
    assert list(pd.read_csv(path).columns) == ["proxies", "conventional", "own", "passes", "ratio"]
    written = json.loads(path.with_suffix(".json").read_text())
    assert written["device"] == "cpu"
    assert sum(written["floors"]["snip"]["shares"].values()) == pytest.approx(1, abs=0.01)


def test_workers_wait_for_one_another(tmp_path: Path) -> None:
    setup = NoiseSetup(benchmark("digits"), (create("diswot"),), (), None, "cpu", meeting=tmp_path, workers=2)
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(setup)
        while not list(tmp_path.iterdir()):
            time.sleep(0.01)
        time.sleep(0.1)
        assert not waiting.done()
        (tmp_path / "the second").touch()
        assert isinstance(waiting.result(timeout=600), NoiseWorker)
    assert not torch.backends.cudnn.allow_tf32, "set up as the workers of a run"


def test_the_figure_shows_minutes_a_sweep_and_ratios(tmp_path: Path) -> None:
    families = [Speed("diswot", 1.2, 0.12, 5044), Speed("snip,fisher", 2.4, 0.36, 5044)]
    speeds = Speeds(families, 0.2, Work(1e9, 1e9), [])
    write(speeds, "cifar100", {"benchmark": "cifar100", "workers": 2, "device": "cpu"}, tmp_path)
    (tmp_path / "cifar100-growth.csv").write_text("cells,batch,seconds,memory\n")
    assert [path.name for path in draw_all(tmp_path, tmp_path)] == ["cifar100-speed.svg", "cifar100-speed.png"]
    axes = draw(*read(tmp_path / "cifar100.csv")).axes[0]
    own, conventional = (line.get_xdata() for line in axes.lines)
    assert list(own) == pytest.approx([0.12 * 5044 / 60, 0.36 * 5044 / 60])
    assert list(conventional) == pytest.approx([1.2 * 15625 / 60, 2.4 * 15625 / 60])
    assert [text.get_text() for text in axes.texts] == [f"{family.ratio:.0f} times" for family in families]
    (tmp_path / "cifar100.json").unlink()
    with pytest.raises(BadInput, match="make speed"):
        draw_all(tmp_path, tmp_path)


@pytest.mark.parametrize("of", ["cells", "functions"])
def test_the_sample_takes_what_the_population_takes(of: str) -> None:
    population = set(cell_set("functions")) if of == "functions" else range(len(cells()))
    skeleton = benchmark("cifar100").skeleton
    assert isinstance(skeleton, CellSkeleton)

    def mean(chosen: Collection[int]) -> float:
        return statistics.fmean(skeleton.count_multiply_adds(cell_at(cell)) for cell in chosen)

    rounds = _samples(population, skeleton, 24, 3)
    assert [len(set(chosen)) for chosen in rounds] == [24] * 3
    drawn = {cell for chosen in rounds for cell in chosen}
    assert len(drawn) == 72
    assert all(cell in population for cell in drawn)
    assert mean(drawn) == pytest.approx(mean(population), rel=0.01)
