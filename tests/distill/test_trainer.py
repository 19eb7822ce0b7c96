"""What a worker trains with: of a seed, vanilla and distilled share everything but the teacher's say."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import CELL, TINY, share, state

import images
from common.files import json_hash
from distill import runs
from distill.recipes import Recipe
from distill.runs import Run, _Trainer
from distill.teachers import load_teacher
from distill.training import Group, Lockstep, Trained, logits_of, measured
from images import digits
from spaces.draw import Draw
from spaces.nb201.cell import Cell, cell_at
from spaces.nb201.equivalence import members
from spaces.nb201.network import CellBlock, CellNetwork

pytestmark = pytest.mark.slow

PLAN = replace(TINY, skeleton=replace(TINY.skeleton, size=16), batch=6, epochs=2, epoch_steps=1)
MODES = ("vanilla", "distilled")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "SCENES", {"val": 40, "test": 60})


def trainer(folder: Path, plan: Recipe = PLAN) -> _Trainer:
    return _Trainer(plan, load_teacher("random:digits"), images.load("digits"), torch.device("cpu"), folder)


def answers_to(worker: _Trainer, seed: int) -> torch.Tensor:
    """What the teacher says to the whole stream of a seed."""
    stream, answer = worker.material(seed)
    return torch.cat([answer(step, stream.batch(step)[0]) for step in range(stream.steps)])


@pytest.fixture
def lockstep(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """With what every training began, and where it was kept."""
    begun: list[dict[str, Any]] = []

    class Listening(Lockstep):
        def run(self, val: Any, test: Any, checkpoint: Path | None = None, *rest: Any, **more: Any) -> list[Trained]:
            (group,) = self.groups
            begun.append(
                {"values": state(group.network), "group": group, "streams": self.streams, "checkpoint": checkpoint}
            )
            return super().run(val, test, checkpoint, every=0)

    monkeypatch.setattr(runs, "Lockstep", Listening)
    return begun


@pytest.mark.parametrize("block", [0, 2])
def test_vanilla_and_distilled_of_a_seed_share_initialisation_and_images(
    tmp_path: Path, lockstep: list[dict[str, Any]], block: int
) -> None:
    done = trainer(tmp_path).train(Run(CELL.index, block))
    seeds = list(range(3 * block, 3 * block + 3))
    assert list(done.results) == [(seed, mode) for seed in seeds for mode in MODES]
    assert done.seconds > 0
    (begun,) = lockstep
    group: Group = begun["group"]
    assert group.kd_weights == (0.0, 0.9) * 3
    for number in range(6):
        of_student = state(CellNetwork(CELL, PLAN.skeleton, Draw(seeds[number // 2])))
        for name, value in of_student.items():
            assert torch.equal(share(begun["values"][name], number, 6), value.reshape(-1)), name
    for stream, seed in zip(begun["streams"], seeds, strict=True):
        drawn = images.load("digits").training_images(seed, PLAN.steps * PLAN.batch)
        found = torch.cat([stream.batch(step)[0] for step in range(PLAN.steps)])
        assert torch.equal(found, images.load("digits").normalise(drawn.images))


def test_results_are_those_of_the_students_in_their_places(tmp_path: Path, lockstep: list[dict[str, Any]]) -> None:
    worker = trainer(tmp_path)
    done = worker.train(Run(CELL.index, 0))
    group = lockstep[0]["group"]
    for split, column in ((worker.val, "val"), (worker.test, "test")):
        found = measured(group, split, streams=3).accuracy.tolist()
        assert [getattr(result, column) for result in done.results.values()] == found
    likelihoods = measured(group, worker.test, streams=3).log_likelihood.tolist()
    assert [result.log_likelihood for result in done.results.values()] == likelihoods
    assert [len(split.labels) for split in (worker.val, worker.test)] == [40, 60]
    assert len(set(done.results.values())) > 1


def test_a_worker_that_finds_the_teachers_answers_trains_to_the_same_results(tmp_path: Path) -> None:
    first, again = (trainer(tmp_path).train(Run(CELL.index, 1)) for _ in range(2))
    assert first.results == again.results


def test_the_teacher_reads_a_seeds_images_once_for_all_workers(tmp_path: Path) -> None:
    worker = trainer(tmp_path)
    stream, _ = worker.material(3)
    expected = torch.cat([logits_of(worker.teacher.network, stream.batch(step)[0]) for step in range(PLAN.steps)])
    assert torch.equal(answers_to(worker, 3), expected)
    (file,) = (tmp_path / "teacher-logits").iterdir()
    np.save(file, np.zeros_like(expected))
    assert not answers_to(trainer(tmp_path), 3).any()
    assert answers_to(trainer(tmp_path, replace(PLAN, epochs=3)), 3).any(), "a longer stream is another"
    assert answers_to(trainer(tmp_path), 4).any(), "another seed is another"
    half = replace(PLAN, batch=PLAN.batch // 2, epoch_steps=2 * PLAN.epoch_steps)
    assert answers_to(trainer(tmp_path, half), 3).any(), "the same images in other batches may round otherwise"
    others = trainer(tmp_path)
    others.teacher = replace(others.teacher, hash="0" * 64)
    assert answers_to(others, 3).any(), "another teacher is another"


def test_a_checkpoint_is_of_one_recipe_teacher_cell_and_block_and_gone_at_the_end(
    tmp_path: Path, lockstep: list[dict[str, Any]]
) -> None:
    other_teacher = trainer(tmp_path)
    other_teacher.teacher = replace(other_teacher.teacher, hash="0" * 64)
    for worker in (trainer(tmp_path), trainer(tmp_path, replace(PLAN, weight_decay=0.0)), other_teacher):
        worker.train(Run(CELL.index, 0))
    trainer(tmp_path).train(Run(3, 0))
    trainer(tmp_path).train(Run(CELL.index, 1))
    paths = [begun["checkpoint"] for begun in lockstep]
    assert len(set(paths)) == len(paths) == 5
    assert all(path.parent == tmp_path / "checkpoints" for path in paths)
    assert not list((tmp_path / "checkpoints").iterdir())


def test_the_students_of_one_mode_are_a_network_of_their_own_with_a_checkpoint_of_its_own(
    tmp_path: Path, lockstep: list[dict[str, Any]]
) -> None:
    apart = trainer(tmp_path, replace(PLAN, apart=True))
    done = {mode: apart.train(Run(CELL.index, 1, (mode,))) for mode in MODES}
    for (mode, found), begun, weight in zip(done.items(), lockstep, (0.0, 0.9), strict=True):
        assert list(found.results) == [(seed, mode) for seed in (3, 4, 5)]
        assert begun["group"].kd_weights == (weight,) * 3
        for number, seed in enumerate((3, 4, 5)):
            of_student = state(CellNetwork(CELL, PLAN.skeleton, Draw(seed)))
            for name, value in of_student.items():
                assert torch.equal(share(begun["values"][name], number, 3), value.reshape(-1)), name
    vanilla, distilled = (begun["streams"] for begun in lockstep)
    assert [stream.hash for stream in vanilla] == [stream.hash for stream in distilled]
    assert lockstep[0]["checkpoint"] != lockstep[1]["checkpoint"]


def test_checkpoints_of_recipes_of_before_have_the_names_that_they_had(
    tmp_path: Path, lockstep: list[dict[str, Any]]
) -> None:
    """What was cut off before there was `apart` is found again: a training of hours may be among it."""
    worker = trainer(tmp_path)
    worker.train(Run(CELL.index, 1))
    record = {name: value for name, value in PLAN.record().items() if name not in ("alone", "apart")}
    about = json_hash([record, worker.teacher.hash])[:16]
    assert lockstep[0]["checkpoint"].name == f"digits-{about}-{CELL.index}-1.pt"


def test_what_is_trained_of_a_cell_is_what_the_recipe_sees(tmp_path: Path, lockstep: list[dict[str, Any]]) -> None:
    cell = Cell.parse("|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|none~1|skip_connect~2|")
    assert runs.has_fed_zeros(cell)
    for sees in ("function", "executed"):
        trainer(tmp_path, replace(PLAN, sees=sees)).train(Run(cell.index, 0))
    counts = [sum("layers" in name for name in begun["values"]) for begun in lockstep]
    assert counts[0] < counts[1]
    assert lockstep[0]["checkpoint"] != lockstep[1]["checkpoint"]


def is_fed_zeros(cell: Cell) -> bool:
    """Whether a convolution that matters to the output has a weight that does not: it reads nothing but zeros."""
    network = CellNetwork(cell, TINY.skeleton, Draw(0), "executed").double().eval()
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # constants that no ReLU stops
            module.bias.data.uniform_(0.5, 1.5, generator=generator)
    images = torch.randn(2, 3, 8, 8, generator=generator, dtype=torch.double)
    network(images).logits.square().sum().backward()
    last = network.cells[-1]  # behind the others, which a cell that lets nothing through cuts off
    assert isinstance(last, CellBlock)
    return any(
        bn.bias.grad is not None and bool(bn.bias.grad.any()) and not bool(gradient_of(conv.weight).any())
        for conv, bn in last.pairs.values()
    )


def gradient_of(parameter: torch.Tensor) -> torch.Tensor:
    return torch.zeros(()) if parameter.grad is None else parameter.grad


def test_convolutions_fed_by_zeros_are_found() -> None:
    """Against the gradients of networks of cells drawn at random."""
    cells = [cell_at(number) for number in random.Random(5).sample(range(15625), 80)]
    found = [runs.has_fed_zeros(cell) for cell in cells]
    assert found == [is_fed_zeros(cell) for cell in cells]
    assert 3 < sum(found) < 77


def test_executed_cells_are_visited_one_of_each_class_that_has_one_in_the_order_of_the_classes() -> None:
    order, executed = runs.visiting_order(), runs.visiting_order("executed")
    classes = members("function")
    having = [number for number in order if any(runs.has_fed_zeros(cell_at(cell)) for cell in classes[number])]
    assert len(executed) == len(having) > 10
    for number, cell in zip(having, executed, strict=True):
        assert cell in classes[number]
        assert runs.has_fed_zeros(cell_at(cell))
    assert executed == runs.visiting_order("executed")
