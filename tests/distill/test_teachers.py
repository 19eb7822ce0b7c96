"""Teachers are identified by their weights, made resumably, and no student shares their weights or images."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Fork
from tiny import TINY, equal, state, student
from torch import nn

import images
from common.errors import BadInput, BadUsage
from distill import teachers
from distill.recipes import ALL_3X3, Recipe, recipe, teacher_recipe
from distill.teachers import Teacher, hardware, held_out, load_teacher, spec, train_teacher, weights_hash
from distill.training import Group, Lockstep, Trained, measured
from images import digits
from images.stream import Stream
from spaces.draw import Draw
from spaces.nb201.cell import cell_at
from spaces.nb201.network import CellNetwork
from spaces.resnet.network import ResNet, shape_named

SMALL = replace(TINY, skeleton=replace(TINY.skeleton, size=16), teacher="")
NAME = "digits-nb201-9930"


def shrink(patch: pytest.MonkeyPatch, plan: Recipe = SMALL) -> None:
    """Teachers of six steps, measured on few scenes."""
    patch.setattr(teachers, "teacher_recipe", lambda benchmark: plan)
    patch.setattr(digits, "SCENES", {"val": 40, "test": 60})


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch)


# names


@pytest.mark.parametrize(
    ("name", "benchmark", "network"),
    [
        ("digits", "digits", "nb201-1462"),
        ("digits-nb201-5", "digits", "nb201-5"),
        ("digits-resnet20", "digits", "resnet20"),
        ("cifar10", "cifar10", "resnet56"),
        ("cifar100", "cifar100", "resnet56"),
        ("cifar100-resnet110", "cifar100", "resnet110"),
        ("cifar100-wrn-40-2", "cifar100", "wrn-40-2"),
    ],
)
def test_a_name_is_a_benchmark_and_a_network(name: str, benchmark: str, network: str) -> None:
    found = spec(name)
    assert (found.network, found.recipe) == (network, teacher_recipe(benchmark))
    assert found.recipe.benchmark == benchmark
    assert spec(name, epochs=7).recipe == replace(found.recipe, epochs=7)


@pytest.mark.slow
def test_the_network_of_a_name_is_built_for_the_classes_of_its_benchmark() -> None:
    cell, resnet, wide = (spec(name).build() for name in ("digits-nb201-5", "cifar10-resnet20", "cifar100-wrn-16-2"))
    assert isinstance(cell, CellNetwork)
    assert (cell.cell, cell.skeleton) == (cell_at(5), teacher_recipe("digits").skeleton)
    assert isinstance(resnet, ResNet)
    assert isinstance(wide, ResNet)
    assert resnet.shape == shape_named("resnet20", 10)
    assert wide.shape == shape_named("wrn-16-2", 100)


@pytest.mark.slow
def test_the_teacher_of_digits_is_the_cell_of_six_3x3_convolutions() -> None:
    network = spec("digits").build()
    assert isinstance(network, CellNetwork)
    assert str(network.cell) == ALL_3X3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digit", "unknown teacher 'digit': did you mean 'digits'"),
        ("cifar", "unknown teacher 'cifar': did you mean 'cifar10"),
        ("", "unknown teacher"),
        ("resnet56", "unknown teacher 'resnet56'"),
        ("cifar100-resnet55", "unknown teacher network 'resnet55': did you mean 'resnet56'"),
        ("cifar100-wrn-41-2", "WRN of depth 41: the depth must be 6 n \\+ 4"),
        ("digits-nb201-15625", "cell index 15625 is out of range"),
        ("digits-nb201-x", "cell"),
        ("random:random:digits", "unknown teacher"),
    ],
)
def test_an_unknown_teacher_is_bad_usage_that_suggests_one(name: str, message: str, tmp_path: Path) -> None:
    for ask in (
        spec,
        load_teacher,
        lambda name: train_teacher(name, tmp_path),
        lambda name: load_teacher(f"random:{name}"),
    ):
        with pytest.raises(BadUsage, match=message) as error:
            ask(name)
        assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_random_teacher_cannot_be_trained(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="unknown teacher 'random:digits'"):
        train_teacher("random:digits", tmp_path)


# untrained


@pytest.mark.slow
def test_random_teachers_are_the_same_every_time_untrained_and_of_another_draw_than_students() -> None:
    teacher, again = load_teacher("random:digits"), load_teacher("random:digits")
    assert teacher.hash == again.hash == weights_hash(teacher.network)
    assert equal(state(teacher.network), state(again.network))
    assert teacher.hash != load_teacher("digits").hash
    assert (teacher.record["name"], teacher.record["network"]) == ("random:digits", "nb201-1462")
    plan = teacher_recipe("digits")
    expected = CellNetwork(cell_at(1462), plan.skeleton, Draw(0, plan.init, role="teacher "))
    assert equal(state(teacher.network), state(expected))
    of_student = state(CellNetwork(cell_at(1462), plan.skeleton, Draw(0, plan.init)))
    drawn = [name for name, value in of_student.items() if value.ndim in (2, 4)]
    assert drawn
    assert not any(torch.equal(of_student[name], state(teacher.network)[name]) for name in drawn)
    assert_frozen(teacher)


def assert_frozen(teacher: Teacher) -> None:
    assert not any(module.training for module in teacher.network.modules())
    assert not any(parameter.requires_grad for parameter in teacher.network.parameters())


# the committed teacher


@pytest.mark.slow
def test_the_digits_teacher_is_the_one_of_its_record_and_as_accurate_on_the_test_split() -> None:
    teacher = load_teacher("digits")
    assert teacher.hash == teacher.record["hash"] == weights_hash(teacher.network)
    skeleton = teacher.record["recipe"]["skeleton"]
    assert skeleton == asdict(teacher_recipe("digits").skeleton)
    assert teacher.record["recipe"]["steps"] == teacher_recipe("digits").steps
    group = Group(teacher.network, (0.0,))
    found = measured(group, held_out(images.load("digits"), "test")).accuracy.item()
    # another processor may sum in another order: four images of 4,000
    assert found == pytest.approx(teacher.record["test"], abs=0.1)
    assert found > 94


@pytest.mark.slow
def test_a_loaded_teacher_is_in_evaluation_mode_and_learns_nothing() -> None:
    teacher = load_teacher("digits")
    assert_frozen(teacher)
    assert equal(state(teacher.network), state(load_teacher("digits").network))


@pytest.mark.slow
def test_the_hash_of_weights_sees_every_value_and_name_but_no_step_counter() -> None:
    network = student()
    before = weights_hash(network)
    assert weights_hash(student()) == before
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            kept = value.clone()
            value[(-1,) * value.ndim] += 1
            assert weights_hash(network) != before, name
            value.copy_(kept)
        else:
            value.add_(1)
    assert weights_hash(network) == before
    bias = nn.BatchNorm2d(3)
    assert weights_hash(nn.ModuleDict({"a": bias})) != weights_hash(nn.ModuleDict({"b": bias}))


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for name in ("digits.pt", "digits.json"):
        shutil.copy(teachers.FOLDER / name, tmp_path / name)
    return tmp_path


def truncate(folder: Path) -> None:
    data = (folder / "digits.pt").read_bytes()
    (folder / "digits.pt").write_bytes(data[: len(data) // 2])


def empty(folder: Path) -> None:
    (folder / "digits.pt").write_bytes(b"")


def overwrite(folder: Path) -> None:
    (folder / "digits.pt").write_bytes(b"not a zip file" * 100)


def resave(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        torch.save(change(torch.load(folder / "digits.pt", weights_only=True)), folder / "digits.pt")

    return apply


def change_record(folder: Path) -> None:
    record = json.loads((folder / "digits.json").read_text())
    (folder / "digits.json").write_text(json.dumps(record | {"hash": "0" * 64}))


UNREADABLE = r"cannot read .*digits\.pt \(PyTorch cannot load it\): restore the file or train it again"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (truncate, UNREADABLE),
        (empty, UNREADABLE),
        (overwrite, UNREADABLE),
        (resave(lambda halves: [1, 2]), r"digits\.pt"),
        (resave(lambda halves: {"other": halves["classifier.bias"]}), "holds another network"),
        (resave(lambda halves: halves | {"classifier.bias": halves["classifier.bias"][:5]}), "another network"),
        (resave(lambda halves: halves | {"classifier.bias": halves["classifier.bias"] + 1}), "does not hold"),
        (change_record, r"does not hold the weights that digits\.json names"),
        (lambda folder: (folder / "digits.pt").unlink(), r"no digits\.pt in .*python -m distill teacher"),
        (lambda folder: (folder / "digits.json").unlink(), r"no digits\.json in .*python -m distill teacher"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_teacher_files_that_are_damaged_or_of_other_weights_are_bad_input(
    break_it: Callable[[Path], Any], message: str, copied: Path
) -> None:
    assert load_teacher("digits", copied).hash == load_teacher("digits").hash
    break_it(copied)
    with pytest.raises(BadInput, match=message) as error:
        load_teacher("digits", copied)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["{", "", "{}", "[]"])
def test_a_damaged_record_is_bad_input(text: str, copied: Path) -> None:
    (copied / "digits.json").write_text(text)
    with pytest.raises(BadInput, match=r"digits\.json"):
        load_teacher("digits", copied)


# training


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_a_trained_teacher_loads_with_the_hash_and_accuracies_of_its_record(tmp_path: Path) -> None:
    record = train_teacher(NAME, tmp_path)
    again = train_teacher(NAME, tmp_path / "again")
    assert again == record
    assert {file.name for file in tmp_path.iterdir()} == {f"{NAME}.pt", f"{NAME}.json", "again"}
    teacher = load_teacher(NAME, tmp_path)
    assert teacher.record == json.loads(json.dumps(record))
    assert teacher.hash == record["hash"]
    assert record["recipe"] == SMALL.record()
    assert (record["name"], record["network"], record["seed"]) == (NAME, "nb201-9930", 0)
    assert record["hardware"] == hardware("cpu")
    for name in ("val", "test"):
        split = held_out(images.load("digits"), name)
        assert measured(Group(teacher.network, (0.0,)), split).accuracy.item() == record[name]
    for value in state(teacher.network).values():
        assert not value.is_floating_point() or torch.equal(value, value.half().float())
    assert not equal(state(teacher.network), state(spec(NAME).build()))
    longer = train_teacher(NAME, tmp_path / "longer", epochs=3)
    assert longer["hash"] != record["hash"]
    assert longer["recipe"] == replace(SMALL, epochs=3).record()


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_a_teacher_trains_without_a_teacher_on_images_that_no_student_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Stream] = []

    class Listening(Lockstep):
        def run(self, *arguments: Any, **options: Any) -> list[Trained]:
            assert not self.answers
            assert [group.kd_weights for group in self.groups] == [(0.0,)]
            assert equal(state(self.groups[0].network), state(spec(NAME).build()))
            seen.extend(self.streams)
            return super().run(*arguments, **options)

    monkeypatch.setattr(teachers, "Lockstep", Listening)
    train_teacher(NAME, tmp_path)
    (stream,) = seen
    found = torch.cat([stream.batch(step)[0] for step in range(SMALL.steps)])
    data = images.load("digits")
    count = SMALL.steps * SMALL.batch
    expected = data.training_images(teachers.TEACHER_STREAM, count)
    assert torch.equal(found, data.normalise(expected.images))
    for seed in range(5):
        assert not np.array_equal(data.training_images(seed, count).images, expected.images)
    assert teachers.TEACHER_STREAM >= 1_000_000


@pytest.mark.slow
def test_a_teacher_that_diverges_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch, replace(SMALL, learning_rate=1e30))
    with pytest.raises(BadInput, match=f"'{NAME}' diverged: nothing was written"):
        train_teacher(NAME, tmp_path)
    assert not list(tmp_path.iterdir())


class Eager(Lockstep):
    """Keeps every epoch."""

    def run(self, *arguments: Any, **options: Any) -> list[Trained]:
        return super().run(*arguments, **options | {"every": 0})


def train_until_killed(folder: Path, last: int) -> None:
    """What the killed process below does."""
    patch = pytest.MonkeyPatch()
    shrink(patch, replace(SMALL, epochs=4))
    patch.setattr(teachers, "Lockstep", Eager)

    def watch(step: int) -> None:
        if step > last:
            os.kill(os.getpid(), signal.SIGKILL)

    train_teacher(NAME, folder, checkpoint=folder / "unfinished.pt", watch=watch)


@pytest.mark.slow
def test_a_teacher_whose_training_was_killed_becomes_the_same_teacher(
    tmp_path: Path, fork: Fork, monkeypatch: pytest.MonkeyPatch
) -> None:
    shrink(monkeypatch, replace(SMALL, epochs=4))
    expected = train_teacher(NAME, tmp_path / "undisturbed")
    code, _, err = fork(train_until_killed, tmp_path, 7).end()
    assert code == -signal.SIGKILL, err
    assert (tmp_path / "unfinished.pt").exists()
    assert not (tmp_path / f"{NAME}.pt").exists()
    steps: list[int] = []
    record = train_teacher(NAME, tmp_path, checkpoint=tmp_path / "unfinished.pt", watch=steps.append)
    assert steps == list(range(7, 13)), "from the end of the second epoch"
    assert record == expected
    assert load_teacher(NAME, tmp_path).hash == expected["hash"]
    assert not (tmp_path / "unfinished.pt").exists()


def test_what_computed_is_named_with_the_version_of_torch() -> None:
    assert hardware("cpu").endswith(f"CPU, one thread a training, torch {torch.__version__}")
    assert recipe("digits").teacher == "digits"
