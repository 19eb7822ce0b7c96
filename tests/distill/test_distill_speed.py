"""Every way that is timed trains: the same students end at the same weights, whichever way they are trained."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from conftest import Command

import distill.speed
from distill.speed import _stream, measure
from distill.training import Group, Lockstep, live
from spaces.draw import Draw
from spaces.nb201.cell import cell_at
from spaces.nb201.network import CellNetwork
from spaces.nb201.skeleton import CellSkeleton
from spaces.stack import Stack, unstack

pytestmark = pytest.mark.slow

TINY = replace(distill.speed.recipe("digits"), skeleton=CellSkeleton(4, 1, 10, 8), batch=8, epochs=1, epoch_steps=2)
CELL = cell_at(9930)


def draws(count: int) -> list[Draw]:
    return [Draw(number, TINY.init) for number in range(count)]


def test_a_stack_trains_as_networks_alone_do() -> None:
    stream = _stream(TINY, torch.device("cpu"))
    teacher = CellNetwork(CELL, TINY.skeleton, Draw(9)).eval()
    weights = (TINY.kd_weight,)
    alone = [CellNetwork(CELL, TINY.skeleton, draw) for draw in draws(3)]
    for network in alone:
        run = Lockstep([Group(network, weights)], [stream], [live(teacher)], TINY)
        run.advance()
        run.advance()
    stacked = CellNetwork(CELL, TINY.skeleton, Stack(draws(3)))
    together = Lockstep([Group(stacked, weights * 3)], [stream], [live(teacher)], TINY)
    together.advance()
    together.advance()
    images, _ = stream.batch(0)
    apart = unstack(stacked.eval()(images).logits, 3)
    for number, network in enumerate(alone):
        expected = network.eval()(images).logits
        torch.testing.assert_close(apart[number], expected, rtol=1e-3, atol=1e-3)


def test_ratios_are_to_separate_runs_of_the_same_students(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distill.speed, "recipe", lambda name: TINY)
    ways = measure("digits", students=2, device="cpu", rounds=1)
    assert len({(way.name, way.cells) for way in ways}) == len(ways) == 6
    base = {way.cells: way.seconds for way in ways if way.name == "separate runs"}
    for way in ways:
        assert way.seconds > 0
        assert way.ratio == pytest.approx(way.seconds / base[way.cells])


def test_impossible_counts_are_bad_usage(command: Command) -> None:
    for words in (("--students", "0"), ("--rounds", "0"), ("--benchmark", "digit")):
        assert command("distill", "speed", *words).code == 2
