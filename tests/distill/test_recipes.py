"""Recipes are identified by everything in them that can change a number of their mode, and by nothing else."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from tiny import SKELETON, TINY

from common.errors import BadUsage
from distill import runs
from distill.recipes import MODES, SCHEDULES, Recipe, recipe, recipe_hash, teacher_recipe
from distill.teachers import spec
from spaces.nb201.skeleton import CellSkeleton

ACCURACIES = Path(__file__).resolve().parents[2] / "results" / "accuracies"


def other(name: str) -> Any:
    value = getattr(TINY, name)
    if isinstance(value, CellSkeleton):
        return replace(value, channels=value.channels + 1)
    if name == "schedule":
        return "steps"
    return value + "x" if isinstance(value, str) else (value or 0) + 1


@pytest.mark.parametrize("name", [field.name for field in fields(Recipe)])
def test_every_field_that_matters_to_a_mode_changes_its_hash(name: str) -> None:
    changed = replace(TINY, **{name: other(name)})
    for mode in MODES:
        before, after = (recipe_hash(each.describe(mode, "t", "d")) for each in (TINY, changed))
        indifferent = mode == "vanilla" and name in ("kd_weight", "temperature", "teacher")
        assert (before == after) == indifferent, mode


@pytest.mark.parametrize("name", [field.name for field in fields(CellSkeleton)])
def test_every_field_of_the_skeleton_changes_the_hash(name: str) -> None:
    skeleton = replace(SKELETON, **{name: getattr(SKELETON, name) + 1})
    for mode in MODES:
        before, after = (each.describe(mode, "t", "d") for each in (TINY, replace(TINY, skeleton=skeleton)))
        assert recipe_hash(before) != recipe_hash(after)


def test_mode_data_and_teacher_change_the_hash_and_a_vanilla_run_has_no_teacher() -> None:
    described = [TINY.describe(mode, teacher, data) for mode in MODES for teacher in ("t", "u") for data in ("d", "e")]
    assert len({recipe_hash(each) for each in described}) == 2 + 4
    vanilla = TINY.describe("vanilla", "t", "d")
    assert not {"teacher", "teacher_hash", "kd_weight", "temperature"} & set(vanilla)
    assert TINY.describe("distilled", "t", "d")["teacher_hash"] == "t"


def test_the_hash_does_not_depend_on_the_order_of_fields_and_survives_json() -> None:
    described = TINY.describe("distilled", "t", "d")
    assert recipe_hash(dict(reversed(described.items()))) == recipe_hash(described)
    assert recipe_hash(json.loads(json.dumps(described))) == recipe_hash(described)


def test_a_description_has_the_schedule_in_words_and_the_steps_of_the_horizon() -> None:
    for schedule, words in SCHEDULES.items():
        described = replace(TINY, schedule=schedule).describe("vanilla", "t", "d")
        assert described["schedule"] == words
        assert described["steps"] == TINY.epochs * TINY.epoch_steps == 6
    assert "62.5 %" in SCHEDULES["steps"]


def test_unknown_modes_and_benchmarks_are_bad_usage_with_a_suggestion() -> None:
    with pytest.raises(BadUsage, match="did you mean 'vanilla'"):
        TINY.describe("vanila", "t", "d")
    for of in (recipe, teacher_recipe):
        with pytest.raises(BadUsage, match="'digit': did you mean 'digits'"):
            of("digit")


@pytest.mark.parametrize(("benchmark", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_cifar_follows_the_benchmark_and_its_teachers_the_distillation_literature(benchmark: str, classes: int) -> None:
    students, teacher = recipe(benchmark), teacher_recipe(benchmark)
    assert students.skeleton == CellSkeleton(channels=16, cells_per_stage=5, classes=classes, size=32)
    assert (students.epochs, students.batch, students.learning_rate, students.schedule) == (12, 256, 0.1, "cosine")
    assert (teacher.epochs, teacher.batch, teacher.learning_rate, teacher.schedule) == (240, 64, 0.05, "steps")
    for plan in (students, teacher):
        assert (plan.epoch_steps - 1) * plan.batch < 45_000 <= plan.epoch_steps * plan.batch


@pytest.mark.parametrize("benchmark", ["digits", "cifar10", "cifar100"])
def test_students_and_teachers_of_a_benchmark_share_classes_and_images(benchmark: str) -> None:
    students, teacher = recipe(benchmark), teacher_recipe(benchmark)
    assert students.benchmark == teacher.benchmark == students.teacher == benchmark
    assert teacher.teacher == ""
    assert (students.skeleton.classes, students.skeleton.size) == (teacher.skeleton.classes, teacher.skeleton.size)


@pytest.mark.parametrize("name", ["digits", "digits-executed", "cifar100-rehearsal"])
def test_chosen_cells_are_trained_as_the_others(name: str) -> None:
    assert recipe(f"{name}-chosen") == recipe(name)


def test_executed_and_rehearsal_are_recipes_of_their_own() -> None:
    plan, executed, rehearsal = recipe("digits"), recipe("digits-executed"), recipe("digits-rehearsal")
    assert executed == replace(plan, sees="executed")
    assert recipe("digits-rehearsal-executed") == replace(rehearsal, sees="executed")
    assert rehearsal.benchmark == plan.benchmark
    assert rehearsal.teacher == "random:digits"
    assert rehearsal.steps < plan.steps
    assert len({recipe_hash(each.describe("vanilla", "t", "d")) for each in (plan, executed, rehearsal)}) == 3


def test_the_small_recipe_is_of_cifars_images_and_has_a_teacher_of_its_own() -> None:
    small, teacher = recipe("cifar10-small"), teacher_recipe("cifar10-small")
    assert small.benchmark == teacher.benchmark == "cifar10"
    assert small.skeleton.size == recipe("cifar10").skeleton.size
    assert teacher.epochs == 1
    assert replace(teacher, epochs=240, skeleton=recipe("cifar10").skeleton, precision="bfloat16") == teacher_recipe(
        "cifar10"
    )
    assert spec(small.teacher).network == "wrn-10-1"


@pytest.mark.parametrize("name", ["digits", "cifar100"])
def test_a_short_recipe_is_a_tenth_of_the_steps_of_distilled_students_alone(name: str) -> None:
    plan, short = recipe(name), recipe(f"{name}-short")
    assert short.steps == plan.steps // 10
    assert replace(short, epochs=plan.epochs, epoch_steps=plan.epoch_steps, distilled_only=False) == plan
    assert (short.modes, short.block, plan.modes, plan.block) == (("distilled",), 1, MODES, 3)
    assert recipe(f"{name}-short-executed") == replace(short, sees="executed")
    for other in (f"{name}-short-rehearsal", f"{name}-rehearsal-short"):
        with pytest.raises(BadUsage):
            recipe(other)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.slow
def test_the_published_table_names_the_recipe_of_the_code(mode: str) -> None:
    """Data, teacher and settings: were one of them changed, the published accuracies would be another recipe's."""
    published = json.loads((ACCURACIES / f"digits-{mode}.json").read_text())
    described = runs.describe("digits", None)[mode]
    assert published["recipe"] == json.loads(json.dumps(described))
    assert published["recipe_hash"] == recipe_hash(described)
