"""The speed report measures real loops; how fast they are is never asserted."""

from __future__ import annotations

import pytest

from bench.benchmarks import benchmark
from bench.speed import NoiseSetup, Speeds, measure, noise


def test_ratios_are_of_whole_sweeps() -> None:
    speeds = Speeds(conventional=0.5, own=0.1, together=0.12, passes=5000)
    assert speeds.sweep_ratio == pytest.approx(0.5 * 15625 / (0.1 * 5000))
    assert speeds.together_ratio == pytest.approx(1.2)


def test_noise_has_the_shape_of_the_benchmark() -> None:
    batch = noise(benchmark("cifar100"), "cpu")
    assert batch.images.shape == (64, 3, 32, 32)
    assert batch.labels.max() < 100
    worker = NoiseSetup(benchmark("digits"), ("diswot",), (), None, "cpu")()
    assert worker._batch(0).hash == "noise"


def test_both_loops_run_and_take_time() -> None:
    pytest.importorskip("xautodl", reason="the conventional loop runs xautodl's network")
    speeds = measure("digits", sample=2, rounds=1, device="cpu", workers=1)
    assert speeds.passes == 5044
    assert min(speeds.conventional, speeds.own, speeds.together) > 0
