"""A teacher's name says benchmark, network and horizon; where names begin alike the longest benchmark is meant."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from test_teachers import SMALL, shrink
from tiny import equal, state

from common.errors import BadUsage
from distill import teachers
from distill.recipes import STUDIED, recipe, teacher_recipe
from distill.teachers import NETWORKS, load_teacher, spec, train_teacher
from spaces.nb201.cell import cell_at
from spaces.nb201.network import CellNetwork
from spaces.resnet.resnet9 import ResNet9
from tests.conftest import Command


@pytest.mark.parametrize(
    ("name", "benchmark", "network", "epochs"),
    [
        ("cifar10-16px", "cifar10-16px", "resnet9-16", 6),
        ("cifar100-16px", "cifar100-16px", "resnet9-32", 10),
        ("cifar10-16px@20", "cifar10-16px", "resnet9-16", 20),
        ("cifar10-16px-resnet9-8@3", "cifar10-16px", "resnet9-8", 3),
        ("cifar10-16px-resnet9-999", "cifar10-16px", "resnet9-999", 6),
        ("cifar10-16px-resnet20", "cifar10-16px", "resnet20", 6),
        ("cifar100-16px-nb201-5@1", "cifar100-16px", "nb201-5", 1),
        ("cifar10-small", "cifar10-small", "wrn-10-1", 1),
        ("cifar10-small-resnet20", "cifar10-small", "resnet20", 1),
        ("cifar10-resnet9-4", "cifar10", "resnet9-4", 240),
        ("cifar100-wrn-40-2@99999", "cifar100", "wrn-40-2", 99999),
        ("digits@5", "digits", "nb201-1462", 5),
        ("digits-nb201-5@7", "digits", "nb201-5", 7),
    ],
)
def test_a_name_is_a_benchmark_a_network_and_a_horizon(name: str, benchmark: str, network: str, epochs: int) -> None:
    found = spec(name)
    assert (found.network, found.seed) == (network, 0)
    assert found.recipe == replace(teacher_recipe(benchmark), epochs=epochs)


def test_the_longest_benchmark_is_meant_in_whatever_order_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("cifar10-16px", "cifar10-16px-resnet20", "cifar10-small@2", "cifar10-resnet20")
    before = [spec(name) for name in names]
    monkeypatch.setattr(teachers, "NETWORKS", dict(reversed(NETWORKS.items())))
    assert [spec(name) for name in names] == before
    assert [found.recipe.benchmark for found in before] == ["cifar10-16px", "cifar10-16px", "cifar10", "cifar10"]


def test_the_network_is_built_for_the_images_and_classes_of_the_benchmark() -> None:
    nine, cell = spec("cifar100-16px-resnet9-4").build(), spec("cifar100-16px-nb201-5").build()
    assert isinstance(nine, ResNet9)
    assert nine.classifier.weight.shape == (100, 32)
    assert isinstance(cell, CellNetwork)
    assert (cell.cell, cell.skeleton) == (cell_at(5), recipe("cifar100-16px").skeleton)


@pytest.mark.parametrize("name", ["cifar10-16px", "cifar100-16px"])
def test_teachers_on_small_images_train_as_their_students_for_some_epochs(name: str) -> None:
    students, teacher = recipe(name), teacher_recipe(name)
    changed = {"epochs": teacher.epochs, "epoch_steps": teacher.epoch_steps, "teacher": "", "init": "kaiming"}
    assert teacher == replace(students, **changed, apart=False)
    assert (teacher.epoch_steps - 1) * teacher.batch < 45_000 <= teacher.epoch_steps * teacher.batch
    assert "apart" not in teacher.record(), "a teacher is a network by itself in any case"


@pytest.mark.parametrize("name", [*NETWORKS, *(name for names in STUDIED.values() for name in names)])
def test_the_teacher_of_a_recipe_has_seen_the_images_of_its_students(name: str) -> None:
    plan = recipe(name)
    of_teacher = spec(plan.teacher).recipe
    assert of_teacher.benchmark == plan.benchmark
    assert (of_teacher.skeleton.classes, of_teacher.skeleton.size) == (plan.skeleton.classes, plan.skeleton.size)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar10-16p", "unknown teacher network '16p'"),
        ("cifar10-16px-", "unknown teacher 'cifar10-16px-'"),
        ("cifar10-16px2", "unknown teacher network '16px2'"),
        ("cifar10-16px-resnet9", "unknown teacher network 'resnet9'"),
        ("cifar10-16px-resnet9-", "unknown teacher network 'resnet9-'"),
        ("cifar10-16px-resnet9-0", "unknown teacher network 'resnet9-0'"),
        ("cifar10-16px-resnet9-08", "unknown teacher network 'resnet9-08'"),
        ("cifar10-16px-resnet9-1000", "unknown teacher network 'resnet9-1000'"),
        ("cifar10-16px-resnet9-8-2", "unknown teacher network 'resnet9-8-2'"),
        ("cifar10-16px-resnet9-²", "unknown teacher network 'resnet9-²'"),
        ("cifar10-16px--resnet9-8", "unknown teacher network '-resnet9-8'"),
        ("digits@", "unknown teacher 'digits@': did you mean 'digits'"),
        ("digits@0", "unknown teacher 'digits@0': did you mean 'digits'"),
        ("digits@-1", "unknown teacher 'digits@-1'"),
        ("digits@05", "unknown teacher 'digits@05'"),
        ("digits@100000", "unknown teacher 'digits@100000'"),
        ("digits@5.0", "unknown teacher 'digits@5.0'"),
        ("digits@5@6", "unknown teacher 'digits@5@6'"),
        ("digits@²", "unknown teacher 'digits@²'"),
        ("digits@5-nb201-5", "unknown teacher 'digits@5-nb201-5'"),
        ("@5", "unknown teacher '@5'"),
        ("digits-@5", "unknown teacher 'digits-@5'"),
    ],
)
def test_what_is_no_teachers_name_ends_with_2_in_one_line(
    command: Command, tmp_path: Path, name: str, message: str
) -> None:
    for of in (spec, load_teacher, lambda name: load_teacher(f"random:{name}")):
        with pytest.raises(BadUsage) as error:
            of(name)
        assert message in str(error.value)
    ended = command("distill", "teacher", name)
    assert ended.code == 2
    assert message in ended.error
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_teacher_of_another_horizon_is_trained_kept_and_loaded_by_its_whole_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shrink(monkeypatch)
    found = {name: train_teacher(name, tmp_path) for name in ("digits-resnet9-2", "digits-resnet9-2@3")}
    for name, record in found.items():
        epochs = 3 if name.endswith("@3") else SMALL.epochs
        assert (record["name"], record["network"]) == (name, "resnet9-2")
        assert record["recipe"] == replace(SMALL, epochs=epochs).record()
        teacher = load_teacher(name, tmp_path)
        assert teacher.hash == record["hash"]
        assert teacher.record == json.loads(json.dumps(record))
    assert len({record["hash"] for record in found.values()}) == 2
    assert {file.name for file in tmp_path.iterdir()} == {f"{name}.{end}" for name in found for end in ("pt", "json")}


@pytest.mark.slow
def test_the_horizon_changes_nothing_of_an_untrained_teacher() -> None:
    one, other = load_teacher("random:digits"), load_teacher("random:digits@3")
    assert one.hash == other.hash
    assert equal(state(one.network), state(other.network))


def test_a_name_and_a_wish_that_differ_in_their_horizon_are_refused() -> None:
    assert spec("cifar10-16px@5", 5).recipe.epochs == 5
    with pytest.raises(BadUsage, match="'cifar10-16px@5' trains 5 epochs, not 7"):
        spec("cifar10-16px@5", 7)
