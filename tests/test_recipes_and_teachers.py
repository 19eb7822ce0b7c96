"""Recipes are identified by everything in them, teachers by their weights; training is the optimiser written out."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import images
from common.errors import BadInput, BadUsage
from distill import runs, teachers
from distill.recipes import MODES, Recipe, recipe, recipe_hash
from distill.teachers import ALL_3X3, TEACHERS, TeacherSpec, load_teacher, train_teacher, weights_hash
from distill.training import HeldOut, Stream, Trained, accuracy, cosine, fit, logits_of, train
from images import digits
from spaces.nb201 import Cell, cell_at
from spaces.network import CellNetwork
from spaces.skeleton import Skeleton
from spaces.supernet import Supernet

ACCURACIES = Path(__file__).resolve().parent.parent / "results" / "accuracies"
SKELETON = Skeleton(channels=4, cells_per_stage=1, classes=10, size=16)
TINY = replace(recipe("digits"), skeleton=SKELETON, steps=3, batch=8)
CELL = cell_at(9930)


# recipes


def other(value: Any) -> Any:
    if isinstance(value, Skeleton):
        return replace(value, channels=value.channels + 1)
    return value + "x" if isinstance(value, str) else value + 1


@pytest.mark.parametrize("name", [field.name for field in fields(Recipe)])
def test_every_field_that_matters_to_a_mode_changes_its_hash(name: str) -> None:
    changed = replace(TINY, **{name: other(getattr(TINY, name))})
    for mode in MODES:
        before, after = (recipe_hash(each.describe(mode, "t", "d")) for each in (TINY, changed))
        indifferent = mode == "vanilla" and name in ("kd_weight", "temperature", "teacher")
        assert (before == after) == indifferent, mode


@pytest.mark.parametrize("name", [field.name for field in fields(Skeleton)])
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


def test_unknown_modes_and_benchmarks_are_bad_usage_with_a_suggestion() -> None:
    with pytest.raises(BadUsage, match="did you mean 'vanilla'"):
        TINY.describe("vanila", "t", "d")
    with pytest.raises(BadUsage, match="'digit': did you mean 'digits'"):
        recipe("digit")


@pytest.mark.parametrize("mode", MODES)
def test_the_published_table_names_the_recipe_of_the_code(mode: str) -> None:
    """Data, teacher and settings: were one of them changed, the published accuracies would be another recipe's."""
    published = json.loads((ACCURACIES / f"digits-{mode}.json").read_text())
    described = runs.describe("digits", None)[mode]
    assert published["recipe"] == json.loads(json.dumps(described))
    assert published["recipe_hash"] == recipe_hash(described)


# training


def stream_of(seed: int, plan: Recipe, dtype: torch.dtype = torch.float32, teacher: bool = True) -> Stream:
    generator = torch.Generator().manual_seed(seed)
    n, size = plan.steps * plan.batch, plan.skeleton.size
    pixels = torch.randn(n, 3, size, size, generator=generator).to(dtype)
    labels = torch.randint(plan.skeleton.classes, (n,), generator=generator)
    logits = 3 * torch.randn(n, plan.skeleton.classes, generator=generator).to(dtype)
    return Stream(pixels, labels, logits if teacher else None)


def student(plan: Recipe = TINY, cell: Cell = CELL) -> CellNetwork:
    return CellNetwork(cell, Supernet(plan.skeleton, 0, plan.init))


def state(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_cosine_starts_at_one_falls_at_every_step_and_would_end_at_zero() -> None:
    values = [cosine(step, 10) for step in range(11)]
    assert values[0] == 1
    assert values[5] == pytest.approx(0.5)
    assert values[10] == pytest.approx(0, abs=1e-15)
    assert values[9] > 0
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 11
    assert values[2] == pytest.approx(math.cos(math.pi / 10) ** 2)  # half-angle form


@pytest.mark.parametrize("kd_weight", [0.0, 0.9, 1.0])
def test_fit_is_nesterovs_momentum_with_weight_decay_on_the_weighted_loss(kd_weight: float) -> None:
    """Written out in float64: v = m v + g, w -= lr (g + m v), g the loss's gradient plus decay times w."""
    plan = replace(TINY, steps=4, learning_rate=0.05, weight_decay=0.01, momentum=0.8, temperature=2.0)
    stream = stream_of(1, plan, torch.float64)
    assert stream.teacher_logits is not None
    trained, reference = student(plan).double(), student(plan).double()
    assert fit(trained, stream, plan, kd_weight)

    parameters = list(reference.parameters())
    velocity = [torch.zeros_like(p) for p in parameters]
    reference.train()
    for step in range(plan.steps):
        rate = 0.05 * (1 + math.cos(math.pi * step / 4)) / 2
        part = slice(step * plan.batch, (step + 1) * plan.batch)
        logits = reference(stream.images[part]).logits
        hard = -logits.log_softmax(1)[torch.arange(plan.batch), stream.labels[part]].mean()
        p = (stream.teacher_logits[part] / 2).softmax(1)
        soft = 4 * (p * (p.log() - (logits / 2).log_softmax(1))).sum(1).mean()
        gradients = torch.autograd.grad((1 - kd_weight) * hard + kd_weight * soft, parameters)
        with torch.no_grad():
            for weight, gradient, v in zip(parameters, gradients, velocity, strict=True):
                g = gradient + 0.01 * weight
                v.mul_(0.8).add_(g)
                weight -= rate * (g + 0.8 * v)
    expected = state(reference)
    for name, value in state(trained).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-7, atol=1e-10, msg=name)


def test_without_weight_on_the_teacher_its_logits_are_not_needed_and_not_read() -> None:
    alone, ignored = student(), student()
    assert fit(alone, stream_of(1, TINY, teacher=False), TINY, kd_weight=0.0)
    assert fit(ignored, stream_of(1, TINY), TINY, kd_weight=0.0)
    assert equal(state(alone), state(ignored))


def test_fit_trains_with_the_statistics_of_the_batch_whatever_mode_the_network_was_in() -> None:
    trained, measured = student(), student().eval()
    assert fit(trained, stream_of(1, TINY), TINY, kd_weight=0.0)
    assert fit(measured, stream_of(1, TINY), TINY, kd_weight=0.0)
    assert equal(state(trained), state(measured))
    moved = [v for name, v in state(trained).items() if name.endswith("running_mean")]
    assert all(v.any() for v in moved)


def test_training_is_the_same_every_time_whatever_the_global_random_state() -> None:
    found = []
    for seed in (0, 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = student()
            assert fit(network, stream_of(1, TINY), TINY, kd_weight=0.9)
            found.append(state(network))
    assert equal(*found)
    assert not equal(found[0], state(student()))


def held_out(seed: int, count: int = 20) -> HeldOut:
    stream = stream_of(seed, replace(TINY, steps=1, batch=count))
    return HeldOut(stream.images, stream.labels)


def test_train_measures_the_network_after_the_last_step() -> None:
    val, test = held_out(5), held_out(6)
    network = student()
    result = train(network, stream_of(1, TINY), val, test, TINY, "distilled")
    assert result.status == "ok"
    assert result.seconds > 0
    network.eval()
    for found, split in ((result.val, val), (result.test, test)):
        hits = sum(
            network(image[None]).logits.argmax().item() == label.item()
            for image, label in zip(split.images, split.labels, strict=True)
        )
        assert found == pytest.approx(100 * hits / 20)


def test_the_two_modes_train_differently_and_vanilla_weighs_the_teacher_with_nothing() -> None:
    results = {}
    for mode in MODES:
        results[mode] = student()
        train(results[mode], stream_of(1, TINY), held_out(5), held_out(6), TINY, mode)
    expected = {mode: student() for mode in MODES}
    fit(expected["vanilla"], stream_of(1, TINY), TINY, kd_weight=0.0)
    fit(expected["distilled"], stream_of(1, TINY), TINY, kd_weight=0.9)
    for mode in MODES:
        assert equal(state(results[mode]), state(expected[mode])), mode
    assert not equal(state(results["vanilla"]), state(results["distilled"]))


def test_accuracy_is_in_percent_and_does_not_depend_on_the_batch() -> None:
    network, split = student(), held_out(5, 30)
    logits = logits_of(network, split.images, batch=7)
    torch.testing.assert_close(logits, logits_of(network, split.images), rtol=1e-5, atol=1e-5)
    assert accuracy(network, HeldOut(split.images, logits.argmax(1))) == 100
    assert accuracy(network, HeldOut(split.images, logits.argmin(1))) == 0
    half = torch.where(torch.arange(30) < 15, logits.argmax(1), logits.argmin(1))
    assert accuracy(network, HeldOut(split.images, half)) == pytest.approx(50)
    assert not logits.requires_grad


def test_a_loss_that_is_not_finite_stops_training_and_is_diverged() -> None:
    wild = replace(TINY, learning_rate=1e30)
    network = student(wild)
    result = train(network, stream_of(1, wild), held_out(5), held_out(6), wild, "vanilla")
    assert result.status == "diverged"
    assert math.isnan(result.val)
    assert math.isnan(result.test)
    assert not fit(student(wild), stream_of(1, wild), wild, kd_weight=0.0)


def test_a_last_step_that_ruins_the_network_is_diverged() -> None:
    wild = replace(TINY, learning_rate=1e30, steps=1)
    result = train(student(wild), stream_of(1, wild), held_out(5), held_out(6), wild, "vanilla")
    assert result.status == "diverged"
    assert math.isnan(result.test)


# what a worker trains with


@pytest.fixture
def small_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "SCENES", {"val": 40, "test": 60})


@pytest.mark.usefixtures("small_digits")
def test_vanilla_and_distilled_share_initialisation_and_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: dict[str, tuple[dict[str, torch.Tensor], Stream]] = {}

    def catch(network: nn.Module, stream: Stream, *rest: Any) -> Trained:
        started[rest[-1]] = state(network), stream
        return train(network, stream, *rest)

    monkeypatch.setattr(runs, "train", catch)
    teacher = load_teacher("digits")
    trainer = runs._Trainer(TINY, teacher, None, tmp_path)
    results = [runs._train(trainer, runs.Run(CELL.index, 1, mode)) for mode in MODES]
    assert [result.status for result in results] == ["ok", "ok"]
    (vanilla, images_of_vanilla), (distilled, images_of_distilled) = (started[mode] for mode in MODES)
    assert equal(vanilla, distilled)
    assert equal(vanilla, state(CellNetwork(CELL, Supernet(SKELETON, 1))))
    assert torch.equal(images_of_vanilla.images, images_of_distilled.images)
    assert torch.equal(images_of_vanilla.labels, images_of_distilled.labels)
    drawn = images.load("digits").training_images(1, TINY.steps * TINY.batch)
    assert torch.equal(images_of_vanilla.images, images.load("digits").normalise(drawn.images))
    assert images_of_vanilla.labels.tolist() == drawn.labels.tolist()

    again = runs._Trainer(TINY, teacher, None, tmp_path)  # finds the teacher's logits on disk
    for mode, result in zip(MODES, results, strict=True):
        repeated = runs._train(again, runs.Run(CELL.index, 1, mode))
        assert (repeated.val, repeated.test) == (result.val, result.test)


@pytest.mark.usefixtures("small_digits")
def test_the_teacher_reads_a_seeds_images_once_for_all_students(tmp_path: Path) -> None:
    teacher = load_teacher("digits")
    trainer = runs._Trainer(TINY, teacher, None, tmp_path)
    first, _, _ = trainer.materials(3)
    expected = logits_of(teacher.network, first.images)
    assert first.teacher_logits is not None
    assert torch.equal(first.teacher_logits, expected)
    (file,) = tmp_path.glob("*.npy")
    np.save(file, np.zeros_like(expected))
    kept, _, _ = runs._Trainer(TINY, teacher, None, tmp_path).materials(3)
    assert kept.teacher_logits is not None
    assert not kept.teacher_logits.any()
    longer = runs._Trainer(replace(TINY, steps=4), teacher, None, tmp_path).materials(3)[0]
    other_seed = runs._Trainer(TINY, teacher, None, tmp_path).materials(4)[0]
    assert longer.teacher_logits is not None
    assert other_seed.teacher_logits is not None
    assert longer.teacher_logits.any()
    assert other_seed.teacher_logits.any()


@pytest.mark.usefixtures("small_digits")
def test_seeds_train_from_other_weights_on_other_images(tmp_path: Path) -> None:
    trainer = runs._Trainer(TINY, load_teacher("digits"), None, tmp_path)
    assert not torch.equal(trainer.materials(0)[0].images, trainer.materials(1)[0].images)
    for split in (1, 2):
        a, b = trainer.materials(0)[split], trainer.materials(1)[split]
        assert isinstance(a, HeldOut)
        assert isinstance(b, HeldOut)
        assert torch.equal(a.images, b.images)


# teachers


def test_the_digits_teacher_is_the_one_of_its_record_and_as_accurate_on_the_test_split() -> None:
    teacher = load_teacher("digits")
    assert teacher.hash == teacher.record["hash"] == weights_hash(teacher.network)
    assert teacher.record["recipe"] == asdict(TEACHERS["digits"].recipe)
    assert teacher.record["cell"] == TEACHERS["digits"].cell == ALL_3X3
    data = images.load("digits")
    test = data.split("test")
    measured = accuracy(teacher.network, HeldOut(data.normalise(test.images), torch.from_numpy(test.labels)))
    # another processor may sum in another order: four images of 4,000
    assert measured == pytest.approx(teacher.record["test"], abs=0.1)
    assert measured > 94


def test_a_loaded_teacher_is_in_evaluation_mode_and_learns_nothing() -> None:
    teacher = load_teacher("digits")
    assert not any(module.training for module in teacher.network.modules())
    assert not any(parameter.requires_grad for parameter in teacher.network.parameters())
    assert equal(state(teacher.network), state(load_teacher("digits").network))


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


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (truncate, r"cannot read the teacher's weights .*digits\.pt"),
        (empty, r"cannot read the teacher's weights .*digits\.pt"),
        (overwrite, r"cannot read the teacher's weights .*digits\.pt"),
        (resave(lambda halves: [1, 2]), r"digits\.pt"),
        (resave(lambda halves: {"other": halves["classifier.bias"]}), "holds another network"),
        (resave(lambda halves: halves | {"classifier.bias": halves["classifier.bias"][:5]}), "cannot read"),
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


def test_an_unknown_teacher_is_bad_usage_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="unknown teacher 'digit': did you mean 'digits'"):
        load_teacher("digit")
    with pytest.raises(BadUsage, match="unknown teacher"):
        train_teacher("digit", tmp_path)


@pytest.mark.usefixtures("small_digits")
def test_a_trained_teacher_loads_with_the_hash_and_accuracies_of_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TEACHERS, "tiny", TeacherSpec(str(CELL), TINY, seed=3))
    record = train_teacher("tiny", tmp_path)
    again = train_teacher("tiny", tmp_path / "again")
    assert again == record
    teacher = load_teacher("tiny", tmp_path)
    assert teacher.record == json.loads(json.dumps(record))
    assert teacher.hash == record["hash"]
    data = images.load("digits")
    for name in ("val", "test"):
        split = data.split(name)
        of_split = HeldOut(data.normalise(split.images), torch.from_numpy(split.labels))
        assert accuracy(teacher.network, of_split) == record[name]
    for value in state(teacher.network).values():
        assert not value.is_floating_point() or torch.equal(value, value.half().float())
    assert not equal(state(teacher.network), state(teachers.build(TEACHERS["tiny"])))


@pytest.mark.usefixtures("small_digits")
def test_a_teacher_trains_on_images_that_no_student_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Stream] = []

    def catch(network: nn.Module, stream: Stream, plan: Recipe, kd_weight: float) -> bool:
        seen.append(stream)
        assert kd_weight == 0
        return fit(network, stream, plan, kd_weight)

    monkeypatch.setattr(teachers, "fit", catch)
    monkeypatch.setitem(TEACHERS, "tiny", TeacherSpec(str(CELL), TINY))
    train_teacher("tiny", tmp_path)
    assert seen[0].teacher_logits is None
    count = TINY.steps * TINY.batch
    expected = images.load("digits").training_images(teachers.TEACHER_STREAM, count)
    assert torch.equal(seen[0].images, images.load("digits").normalise(expected.images))
    for seed in range(5):
        assert not np.array_equal(images.load("digits").training_images(seed, count).images, expected.images)


@pytest.mark.usefixtures("small_digits")
def test_a_teacher_that_diverges_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TEACHERS, "wild", TeacherSpec(str(CELL), replace(TINY, learning_rate=1e30)))
    with pytest.raises(BadInput, match="'wild' diverged: nothing was written"):
        train_teacher("wild", tmp_path)
    assert not list(tmp_path.iterdir())
