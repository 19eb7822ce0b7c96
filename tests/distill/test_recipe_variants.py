"""Variants of recipes: what they set, where their tables lie, what they share, and what of recipes of before stays."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from common.errors import BadUsage
from distill.recipes import MODES, STUDIED, Recipe, recipe, recipe_hash
from distill.runs import Run, wanted
from distill.tables import FOLDER, recipe_path, table_path
from spaces.nb201.skeleton import CellSkeleton
from tests.conftest import Command

PUBLISHED = sorted((Path(__file__).resolve().parents[2] / FOLDER).glob("*.json"))
BEFORE = ("digits", "cifar10", "cifar100", "cifar10-small")
"""Recipes that there were before a network of its own for each mode."""
SMALL = ("cifar10-16px", "cifar100-16px")


def hash_of(name: str, mode: str, teacher: str = "t", data: str = "d") -> str:
    return recipe_hash(recipe(name).describe(mode, teacher, data))


# what was there before


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_the_hashes_of_published_tables_are_those_of_the_recipes_to_the_letter(path: Path) -> None:
    """With the content hashes of data and teacher that stand there; test_recipes.py computes those of digits."""
    published = json.loads(path.read_text())
    described, name = published["recipe"], published["benchmark"]
    found = recipe(name).describe(published["mode"], described.get("teacher_hash", ""), described["data_hash"])
    if name.endswith("-chosen"):
        found["sample"] = "chosen cells"
    assert json.loads(json.dumps(found)) == described
    assert recipe_hash(found) == published["recipe_hash"]


@pytest.mark.parametrize(
    ("benchmark", "mode", "expected"),
    [
        ("digits", "vanilla", "220ff2372ca5b694"),
        ("digits", "distilled", "2fe46c5b0172c180"),
        ("cifar100", "distilled", "759d81580733771b"),
        ("cifar10-small-short", "distilled", "73799e90a86b3303"),
        ("digits-rehearsal-executed", "vanilla", "5626c7e5e952e4dd"),
    ],
)
def test_hashes_of_recipes_of_before_are_the_ones_that_they_were(benchmark: str, mode: str, expected: str) -> None:
    assert hash_of(benchmark, mode)[:16] == expected


@pytest.mark.parametrize("name", BEFORE)
@pytest.mark.parametrize("ending", ["", "-short", "-rehearsal", "-executed", "-short-executed", "-chosen"])
def test_recipes_of_before_say_nothing_of_what_came_later(name: str, ending: str) -> None:
    plan = recipe(name + ending)
    later = {"images", "apart"} if plan.distilled_only else {"images", "alone", "apart"}
    keys = {"alone" if field.name == "distilled_only" else field.name for field in fields(Recipe)}
    assert set(plan.record()) == keys - later
    assert plan.stacks == ((("distilled",),) if plan.distilled_only else (MODES,))


@pytest.mark.parametrize("name", SMALL)
def test_what_is_set_is_said(name: str) -> None:
    assert recipe(name).record()["apart"] is True
    assert "alone" not in recipe(name).record()
    assert recipe(f"{name}-short").record().items() >= {"alone": True, "apart": True}.items()
    for mode in MODES:
        together = replace(recipe(name), apart=False).describe(mode, "t", "d")
        assert recipe_hash(together) != hash_of(name, mode)


# recipes of small images


@pytest.mark.parametrize(("name", "classes"), [(SMALL[0], 10), (SMALL[1], 100)])
def test_the_recipe_of_small_images(name: str, classes: int) -> None:
    plan = recipe(name)
    assert plan.benchmark == plan.teacher == name
    assert plan.skeleton == CellSkeleton(channels=8, cells_per_stage=1, classes=classes, size=16)
    assert (plan.steps, plan.batch, plan.learning_rate, plan.schedule) == (800, 128, 0.2, "trapezoid")
    assert plan.stacks == (("vanilla",), ("distilled",))
    assert (plan.modes, plan.block) == (MODES, 3)
    assert recipe(f"{name}-rehearsal").teacher == f"random:{name}"
    assert recipe(f"{name}-short").stacks == (("distilled",),)
    assert recipe(f"{name}-short").steps == 80


def test_a_run_is_wanted_for_every_network_of_a_cell_and_block() -> None:
    apart = wanted([0, 4], [7, 9], recipe("cifar10-16px"))
    assert apart == [Run(cell, block, (mode,), 3) for cell in (7, 9) for block in (0, 1) for mode in MODES]
    assert {task.students for task in apart} == {3}
    assert wanted([0, 4], [7], recipe("digits")) == [Run(7, 0), Run(7, 1)]
    assert Run(7, 0).students == 6
    alone = wanted([0, 4], [7], recipe("cifar10-16px-short"))
    assert alone == [Run(7, seed, ("distilled",), 1) for seed in (0, 4)]
    assert [list(task.seeds) for task in alone] == [[0], [4]]


# variants


@pytest.mark.parametrize(
    ("name", "base", "changes"),
    [
        ("digits:batch=64", "digits", {"batch": 64}),
        ("digits:epoch_steps=50", "digits", {"epoch_steps": 50}),
        ("cifar10-16px:learning_rate=1e-2", "cifar10-16px", {"learning_rate": 0.01}),
        ("cifar10-16px:kd_weight=0", "cifar10-16px", {"kd_weight": 0.0}),
        ("cifar10-16px:kd_weight=1", "cifar10-16px", {"kd_weight": 1.0}),
        ("cifar10-16px:temperature=2", "cifar10-16px", {"temperature": 2.0}),
        ("cifar10-16px:precision=bfloat16", "cifar10-16px", {"precision": "bfloat16"}),
        ("cifar10:precision=float32", "cifar10", {"precision": "float32"}),
        ("cifar10-16px:teacher=cifar10-16px@20", "cifar10-16px", {"teacher": "cifar10-16px@20"}),
        ("digits-short:batch=16", "digits-short", {"batch": 16}),
        ("cifar100-16px-executed:batch=64:temperature=2", "cifar100-16px-executed", {"batch": 64, "temperature": 2.0}),
        ("digits:batch=64-chosen", "digits", {"batch": 64}),
        ("cifar10-16px:images=4500", "cifar10-16px", {"images": 4500}),
    ],
)
def test_a_variant_is_the_recipe_with_these_values(name: str, base: str, changes: dict[str, Any]) -> None:
    assert recipe(name) == replace(recipe(base), **changes)
    assert all(type(getattr(recipe(name), field)) is type(value) for field, value in changes.items())


def test_channels_are_those_of_the_skeleton() -> None:
    plan = recipe("cifar10-16px:channels=16:batch=64")
    small = recipe("cifar10-16px")
    assert plan == replace(small, batch=64, skeleton=replace(small.skeleton, channels=16))


def test_every_recipe_that_is_studied_is_another_one() -> None:
    for names in STUDIED.values():
        hashes = [hash_of(name, "distilled") for name in names]
        assert len(set(hashes)) == len(names) == len({table_path(name, "distilled") for name in names})


@pytest.mark.parametrize("change", ["kd_weight=0.5", "temperature=2.0", "teacher=cifar10-16px@20"])
def test_variants_that_differ_only_in_their_distillation_share_the_vanilla_hash(change: str) -> None:
    for base in ("cifar10-16px", "cifar10-16px:epoch_steps=400"):
        assert hash_of(f"{base}:{change}", "vanilla", teacher="another") == hash_of(base, "vanilla")
        assert hash_of(f"{base}:{change}", "distilled") != hash_of(base, "distilled")


@pytest.mark.parametrize(
    "change", ["batch=64", "epoch_steps=9", "learning_rate=1", "precision=bfloat16", "channels=4", "images=9"]
)
def test_variants_that_differ_otherwise_share_nothing(change: str) -> None:
    for mode in MODES:
        assert hash_of(f"cifar10-16px:{change}", mode) != hash_of("cifar10-16px", mode)


def test_tables_of_a_variant_lie_beside_the_others_without_a_colon() -> None:
    path = table_path("cifar10-16px:batch=64:learning_rate=0.1", "vanilla")
    assert path == FOLDER / "cifar10-16px_batch=64_learning_rate=0.1-vanilla.csv.gz"
    assert recipe_path(path).name == "cifar10-16px_batch=64_learning_rate=0.1-vanilla.json"
    assert table_path("cifar10-16px-chosen", "vanilla") == FOLDER / "cifar10-16px-chosen-vanilla.csv.gz"


# refused

REFUSED = [
    *((f"{field}={value}", f"{field} must be finite and above 0")
      for field in ("batch", "epoch_steps", "channels", "images") for value in ("0", "-1")),
    *((f"{field}={value}", f"{field} must be finite and above 0")
      for field in ("learning_rate", "temperature") for value in ("0", "-0.1", "nan", "inf", "-inf", "1e400")),
    *((f"kd_weight={value}", "kd_weight must lie in 0 to 1") for value in ("-0.1", "1.1", "nan", "inf")),
    ("precision=float16", "unknown precision 'float16': did you mean 'bfloat16' or 'float32'?"),
    ("precision=", "unknown precision ''"),
    ("bach=64", "unknown field of digits 'bach': did you mean 'batch'"),
    ("epochs=3", "unknown field of digits 'epochs': did you mean 'epoch_steps'?"),
    ("alone=true", "unknown field of digits 'alone'"),
    ("skeleton=1", "unknown field of digits 'skeleton'"),
    ("batch=1.5", "batch takes int, not '1.5'"),
    ("batch=many", "batch takes int, not 'many'"),
    ("learning_rate=", "learning_rate takes float, not ''"),
    ("batch", "settings are written name:field=value"),
    ("", "settings are written name:field=value"),
    ("batch=64:temperature=0", "temperature must be finite and above 0"),
    ("teacher=random:digits", "settings are written name:field=value"),
]  # fmt: skip
TEACHERS = [
    ("teacher=digit", "unknown teacher 'digit': did you mean 'digits'"),
    ("teacher=", "unknown teacher ''"),
    ("teacher=cifar10-small", "the teacher 'cifar10-small' is of cifar10: students of digits need one of theirs"),
    (
        "teacher=cifar100-16px@3",
        "the teacher 'cifar100-16px@3' is of cifar100-16px: students of digits need",
    ),
]
"""Refused where the teacher is looked for."""


@pytest.mark.parametrize(("setting", "message"), REFUSED)
def test_a_variant_without_sense_is_bad_usage(setting: str, message: str) -> None:
    with pytest.raises(BadUsage) as error:
        recipe(f"digits:{setting}")
    assert message in str(error.value)
    with pytest.raises(BadUsage, match="did you mean 'digits'"):
        recipe(f"digit:{setting}")


@pytest.mark.slow
@pytest.mark.parametrize(("setting", "message"), [*REFUSED, *TEACHERS])
def test_at_the_command_line_it_ends_with_2_in_one_line_and_leaves_nothing_behind(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, message: str
) -> None:
    def train(*arguments: object, **options: object) -> None:
        raise AssertionError("nothing is to be trained")

    monkeypatch.setattr("distill.runs.run", train)
    for words in (["run"], ["status"], ["export"]):
        ended = command("distill", *words, "--benchmark", f"digits:{setting}")
        assert (ended.code, ended.out) == (2, "")
        assert message in ended.error
    assert not list(tmp_path.iterdir())
