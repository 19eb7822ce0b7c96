"""The distillation losses against NumPy in float64, written out with loops, and what their gradients ask."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from loss_formulas import (
    LABELS,
    SIZES,
    WIDTHS,
    WRITTEN_OUT,
    K,
    N,
    as_numpy,
    logits,
    numpy_dkd,
    numpy_kdsvd,
    numpy_rkd_angle,
    numpy_rkd_distance,
)

from common.errors import BadUsage
from distill import loss_terms, losses
from distill.loss_terms import rows
from distill.losses import LOSSES, READS, dkd, kd, loss, semantic
from distill.process.connectors import connectors
from spaces.output import Output


def shown(seed: int, widths: tuple[int, ...] = WIDTHS, sizes: tuple[int, ...] = SIZES, images: int = N) -> Output:
    """What a network might show of a batch; its pooled features are those of its last map."""
    features = tuple(
        logits(10 * seed + k, images, width, size, size, scale=1.0)
        for k, (width, size) in enumerate(zip(widths, sizes, strict=True))
    )
    return Output(logits(10 * seed + 9, images, K), features[-1].mean((2, 3)), features)


def tensors(shown: Output) -> list[torch.Tensor]:
    return [shown.logits, shown.pooled, *shown.features]


def changed(shown: Output, change: Callable[[torch.Tensor], torch.Tensor]) -> Output:
    return Output(change(shown.logits), change(shown.pooled), tuple(map(change, shown.features)))


def leaves(shown: Output) -> Output:
    return changed(shown, lambda values: values.detach().clone().requires_grad_())


def arguments(name: str, teacher: Output, student: Output, labels: torch.Tensor = LABELS) -> list[Any]:
    """What the loss's function takes without a connector; VID's variances are e^(c / 9) for channel c."""
    read = [READS[what] for what in LOSSES[name].reads if what != "labels"]
    taken = [each(observed) for observed in (teacher, student) for each in read]
    if name == "vid":
        widths = [maps.shape[1] for maps in teacher.features]
        taken.append(tuple(torch.arange(width, dtype=torch.float64).view(1, -1, 1, 1) / 9 for width in widths))
    return taken + ([labels] if "labels" in LOSSES[name].reads else [])


def value(name: str, teacher: Output, student: Output, labels: torch.Tensor = LABELS) -> torch.Tensor:
    return LOSSES[name].function(*arguments(name, teacher, student, labels))


ANY_WIDTH = ("kd", "dkd", "at", "sp", "rkd", "pkt", "nst", "relation")
"""Losses that compare networks of unequal widths without a connector."""
every_loss = pytest.mark.parametrize("name", sorted(LOSSES))


def test_every_loss_has_a_formula_written_out() -> None:
    assert WRITTEN_OUT.keys() == LOSSES.keys()
    assert all(entry.name == name for name, entry in LOSSES.items())


@every_loss
@pytest.mark.parametrize("seed", [1, 2])
def test_a_loss_is_its_formula_written_out(name: str, seed: int) -> None:
    taken = arguments(name, shown(seed), shown(seed + 2))
    expected = WRITTEN_OUT[name](*as_numpy(taken))
    assert LOSSES[name].function(*taken).item() == pytest.approx(expected, rel=1e-9)
    assert abs(expected) > 1e-6


@pytest.mark.parametrize("name", ANY_WIDTH)
def test_a_loss_between_unequal_widths_is_its_formula_written_out(name: str) -> None:
    taken = arguments(name, shown(1), shown(2, (3, 4, 9)))
    assert LOSSES[name].function(*taken).item() == pytest.approx(WRITTEN_OUT[name](*as_numpy(taken)), rel=1e-9)


def test_the_parts_of_rkd_are_their_formulas_written_out() -> None:
    t, s = shown(1).pooled, shown(2, (3, 4, 9)).pooled
    assert losses.rkd_distance(t, s).item() == pytest.approx(numpy_rkd_distance(t.numpy(), s.numpy()), rel=1e-9)
    assert losses.rkd_angle(t, s).item() == pytest.approx(numpy_rkd_angle(t.numpy(), s.numpy()), rel=1e-9)
    assert losses.rkd(t, s, 2.0, 0.0).item() == pytest.approx(2 * numpy_rkd_distance(t.numpy(), s.numpy()), rel=1e-9)


def test_distances_beyond_one_count_linearly_in_rkd() -> None:
    """One student far from the others: after scaling its distances differ from the teacher's by more than 1."""
    t, s = shown(1).pooled, shown(2).pooled.clone()
    s[0] += 100
    scaled = losses._scaled_distances(s) - losses._scaled_distances(t)
    assert (scaled > 1).any()
    assert losses.rkd_distance(t, s).item() == pytest.approx(numpy_rkd_distance(t.numpy(), s.numpy()), rel=1e-9)


def test_two_singular_vectors_are_weighted_by_their_values() -> None:
    """Not of the last stage, whose four pixels leave the fifth vector to choose from arbitrary."""
    teacher, student = (maps[:2] for maps in arguments("kdsvd", shown(1), shown(2)))
    expected = numpy_kdsvd(as_numpy(teacher), as_numpy(student), 2)
    assert losses.kdsvd(teacher, student, 2).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["at", "nst", "fitnet"])
@pytest.mark.parametrize("larger", ["teacher", "student"])
def test_the_larger_of_two_maps_is_averaged_down_to_the_smaller(name: str, larger: str) -> None:
    small, large = shown(1), shown(2, sizes=(8, 8, 6))
    pooled = Output(large.logits, large.pooled, tuple(map(blocks, large.features, SIZES)))
    pair = (large, small) if larger == "teacher" else (small, large)
    as_small = (pooled, small) if larger == "teacher" else (small, pooled)
    assert value(name, *pair).item() == pytest.approx(value(name, *as_small).item(), rel=1e-9)


def blocks(maps: torch.Tensor, size: int) -> torch.Tensor:
    side = maps.shape[2] // size
    return maps.reshape(*maps.shape[:2], size, side, size, side).mean((3, 5))


@pytest.mark.parametrize("name", ["at", "nst", "kdsvd", "vid"])
def test_stages_have_to_be_equally_many(name: str) -> None:
    short = shown(2)._replace(features=shown(2).features[:2])
    with pytest.raises(ValueError, match="zip"):
        value(name, shown(1), short)


# what a student gains by being its teacher


@every_loss
def test_a_student_equal_to_its_teacher_has_the_least_loss(name: str) -> None:
    """Zero, but for VID, where half the mean log variance is left."""
    teacher = shown(1)
    least = sum(k / 9 for width in WIDTHS for k in [(width - 1) / 2]) / 2 if name == "vid" else 0
    student = leaves(teacher)
    at_teacher = value(name, teacher, student)
    assert at_teacher.item() == pytest.approx(least, abs=1e-12)
    for seed in range(2, 12):
        assert value(name, teacher, shown(seed)).item() > least + 1e-7
    at_teacher.backward()
    for leaf in tensors(student):
        assert leaf.grad is None or leaf.grad.abs().max() < 1e-7  # PKT's eps leaves 1e-8


@every_loss
def test_steps_against_the_gradient_lower_the_loss(name: str) -> None:
    teacher, student = shown(1), leaves(shown(2))
    before = value(name, teacher, student)
    before.backward()
    length = math.sqrt(sum(float(x.grad.square().sum()) for x in tensors(student) if x.grad is not None))
    assert length > 0

    def step(values: torch.Tensor) -> torch.Tensor:
        return values.detach() - (0 if values.grad is None else 1e-4 * values.grad / length)

    assert value(name, teacher, changed(student, step)).item() < before.item()


# gradients


@pytest.mark.slow
@every_loss
def test_the_gradient_is_that_of_finite_differences(name: str) -> None:
    teacher, student = shown(1, (2, 3, 3), (2, 2, 2), images=3), shown(2, (2, 3, 3), (2, 2, 2), images=3)
    labels = torch.tensor([0, 2, 2])

    def of_student(*values: torch.Tensor) -> torch.Tensor:
        return value(name, teacher, Output(values[0], values[1], tuple(values[2:])), labels)

    assert torch.autograd.gradcheck(of_student, [each.requires_grad_() for each in tensors(student)])


@every_loss
def test_the_gradient_asks_nothing_that_the_loss_does_not_read(name: str) -> None:
    student = leaves(shown(2))
    value(name, shown(1), student).backward()
    reads = LOSSES[name].reads
    last, stages = "last_map" in reads, "stage_maps" in reads
    expected = ["logits" in reads, "pooled" in reads, stages, stages or "hint_map" in reads, stages or last]
    assert [leaf.grad is not None and bool(leaf.grad.any()) for leaf in tensors(student)] == expected


DEGENERATE: dict[str, Callable[[Output], Output]] = {
    "zeros": lambda shown: changed(shown, torch.zeros_like),
    "one image": lambda shown: changed(shown, lambda values: values[:1]),
    "one image of zeros": lambda shown: changed(shown, lambda values: torch.zeros_like(values[:1])),
    "equal images": lambda shown: changed(shown, lambda values: values[:1].expand_as(values)),
    "two equal images": lambda shown: changed(shown, lambda values: torch.cat([values[:2], values[:3]])),
    "one image of zeros among others": lambda shown: changed(
        shown, lambda values: torch.cat([torch.zeros_like(values[:1]), values[1:]])
    ),
    "equal channels": lambda shown: changed(shown, lambda values: values[:, :1].expand_as(values)),
    "opposite images": lambda shown: changed(shown, lambda values: torch.cat([values[:2], -values[:2], values[:1]])),
}


@pytest.mark.slow
@every_loss
@pytest.mark.parametrize("teacher_too", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", DEGENERATE)
def test_loss_and_gradient_are_finite_where_features_say_nothing(
    name: str, case: str, dtype: torch.dtype, teacher_too: bool
) -> None:
    student = leaves(changed(DEGENERATE[case](shown(2)), lambda values: values.to(dtype)))
    images = len(student.logits)
    teacher = changed(DEGENERATE[case](shown(1)) if teacher_too else shown(1), lambda v: v[:images].to(dtype))
    found = value(name, teacher, student, LABELS[:images])
    assert math.isfinite(found.item())
    found.backward()
    for leaf in tensors(student):
        assert leaf.grad is None or (leaf.grad.isfinite().all() and leaf.grad.abs().max() < 1e3)


@every_loss
def test_what_is_not_finite_in_the_student_shows_in_the_loss(name: str) -> None:
    broken = changed(
        shown(2),
        lambda values: torch.where(
            torch.arange(len(values[0])).eq(0).view(1, -1, *[1] * (values.dim() - 2)), torch.nan, values
        ),
    )
    assert not math.isfinite(value(name, shown(1), broken).item())


# what the losses do not see


def rotation(width: int) -> torch.Tensor:
    return torch.linalg.qr(logits(77, width, width))[0]


def assert_blind(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    teacher, student = shown(1), shown(2)
    moved = changed(student, change)
    assert value(name, teacher, moved).item() == pytest.approx(value(name, teacher, student).item(), rel=1e-9)
    assert value(name, changed(teacher, change), student).item() == pytest.approx(
        value(name, teacher, student).item(), rel=1e-9
    )


@pytest.mark.parametrize("name", ["rkd", "pkt", "sp", "relation", "at", "nst", "ickd", "kdsvd", "semantic"])
def test_the_scale_of_the_features_is_not_seen(name: str) -> None:
    teacher, student = shown(1), shown(2)
    scaled = student._replace(pooled=3 * student.pooled, features=tuple(3 * maps for maps in student.features))
    assert value(name, teacher, scaled).item() == pytest.approx(value(name, teacher, student).item(), rel=1e-9)


@pytest.mark.parametrize("name", ["sp", "relation", "pkt", "rkd"])
def test_a_rotation_of_the_channels_is_not_seen(name: str) -> None:
    assert_blind(name, lambda values: torch.einsum("nc...,cd->nd...", values, rotation(values.shape[1])))


def test_the_origin_of_the_features_is_not_seen_by_rkd() -> None:
    assert_blind("rkd", lambda values: values + torch.arange(values.shape[1]).view(1, -1, *[1] * (values.dim() - 2)))


@pytest.mark.parametrize("name", ["sp", "relation", "at", "nst"])
def test_the_order_of_the_channels_is_not_seen(name: str) -> None:
    assert_blind(name, lambda values: values.flip(1))


@pytest.mark.parametrize("name", ["at", "nst", "kdsvd"])
def test_the_sign_of_a_map_is_not_seen(name: str) -> None:
    assert_blind(name, torch.neg)


@pytest.mark.parametrize("name", ["kd", "dkd"])
def test_a_constant_more_on_the_logits_of_an_image_is_not_seen(name: str) -> None:
    shift = torch.arange(N, dtype=torch.float64)[:, None]
    assert_blind(name, lambda values: values + shift.view(-1, *[1] * (values.dim() - 1)))


@pytest.mark.parametrize("name", sorted(LOSSES.keys() - {"cc"}))
def test_the_order_of_the_images_is_not_seen(name: str) -> None:
    order = torch.tensor([3, 0, 4, 1, 2])
    teacher, student = (changed(each, lambda values: values[order]) for each in (shown(1), shown(2)))
    found = value(name, teacher, student, LABELS[order]).item()
    assert found == pytest.approx(value(name, shown(1), shown(2)).item(), rel=1e-9)


def test_cc_sees_the_order_of_the_images_and_is_zero_when_every_second_one_agrees() -> None:
    teacher, student = shown(1), shown(2)
    order = torch.tensor([3, 0, 4, 1, 2])
    moved = losses.cc(teacher.pooled[order], student.pooled[order]).item()
    assert moved != pytest.approx(losses.cc(teacher.pooled, student.pooled).item(), rel=1e-3)
    half = student.pooled.clone()
    half[1::2] = teacher.pooled[1::2]
    assert losses.cc(teacher.pooled, half).item() == 0


# decoupled distillation


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_kd_is_target_divergence_and_the_other_classes_weighted_by_the_teachers_doubt(temperature: float) -> None:
    """KD = TCKD + (1 - p_t) NCKD image by image (DKD's equation 6)."""
    teacher, student = logits(0, 1, 6), logits(1, 1, 6)
    for label in range(6):
        labels = torch.tensor([label])
        doubt = 1 - (teacher / temperature).softmax(1)[0, label].item()
        found = dkd(teacher, student, labels, alpha=1, beta=doubt, temperature=temperature).item()
        assert found == pytest.approx(kd(teacher, student, temperature).item(), rel=1e-9)


def test_dkd_adds_its_two_parts_with_alpha_and_beta() -> None:
    teacher, student = logits(0, N, K), logits(1, N, K)
    target = dkd(teacher, student, LABELS, alpha=1, beta=0).item()
    others = dkd(teacher, student, LABELS, alpha=0, beta=1).item()
    assert target > 0 < others
    assert dkd(teacher, student, LABELS).item() == pytest.approx(target + 8 * others, rel=1e-12)
    assert dkd(teacher, student, LABELS, 3, 2).item() == pytest.approx(3 * target + 2 * others, rel=1e-12)
    assert dkd(teacher, student, LABELS, 1, 0, 1.0).item() == pytest.approx(
        numpy_dkd(teacher.numpy(), student.numpy(), LABELS.numpy(), 1, 0, 1), rel=1e-9
    )


def test_dkd_of_extreme_logits_is_finite() -> None:
    teacher = torch.tensor([[1000.0, 0.0, -1000.0]])
    student = torch.tensor([[-1000.0, 0.0, 1000.0]], requires_grad=True)
    found = dkd(teacher, student, torch.tensor([0]), temperature=1.0)
    found.backward()
    assert found.isfinite()
    assert student.grad is not None
    assert student.grad.isfinite().all()


# DisWOT's losses


def test_the_classifier_gradient_in_closed_form_is_autograds() -> None:
    pooled, weight = shown(1).pooled, logits(5, K, WIDTHS[-1]).requires_grad_()
    scores = pooled @ weight.T
    (expected,) = torch.autograd.grad(F.cross_entropy(scores, LABELS), weight)
    torch.testing.assert_close(loss_terms.classifier_gradient(scores.detach(), pooled, LABELS), expected)


def test_classes_absent_from_the_batch_do_not_count() -> None:
    """A fifth class whose gradient is opposite in teacher and student changes nothing, as no image names it."""
    teacher, student = shown(1), shown(2)
    less = torch.full(
        (N, 1), -30.0, dtype=torch.float64
    )  # a probability of nearly zero, yet a gradient with a direction
    more = [torch.cat([each.logits, less], dim=1) for each in (teacher, student)]
    found = semantic(more[0], teacher.pooled, more[1], student.pooled, LABELS)
    assert found.item() == pytest.approx(value("semantic", teacher, student).item(), rel=1e-9)


def test_the_semantic_loss_lies_between_0_and_2_and_opposite_gradients_reach_2() -> None:
    teacher = shown(1)
    found = semantic(teacher.logits, teacher.pooled, teacher.logits, -teacher.pooled, LABELS)
    assert found.item() == pytest.approx(2, rel=1e-12)
    for seed in range(2, 12):
        assert 0 < value("semantic", teacher, shown(seed)).item() < 2


def test_where_all_signs_agree_diswots_distance_is_2c_times_the_semantic_one() -> None:
    t, s = logits(0, K, 7).abs(), logits(1, K, 7).abs()
    expected = 2 * 7 * (1 - torch.cosine_similarity(t, s))
    torch.testing.assert_close(loss_terms.outer_rows_distance(t, s), expected)


def test_rows_divide_by_the_length_of_the_last_dimension() -> None:
    values = logits(0, 2, 3, 4)
    torch.testing.assert_close(rows(values).norm(dim=-1), torch.ones(2, 3, dtype=torch.float64))
    torch.testing.assert_close(rows(values) * values.norm(dim=-1, keepdim=True), values)


# by name


@every_loss
def test_a_loss_by_name_is_its_function_of_what_it_reads(name: str) -> None:
    if name != "vid":  # reads what its connector makes
        teacher, student = shown(1), shown(2)
        assert loss(name)(teacher, student, LABELS).item() == value(name, teacher, student).item()


@every_loss
@pytest.mark.parametrize("student_widths", [(3, 4, 6), (7, 9, 12), WIDTHS])
def test_every_loss_pulls_at_a_student_of_any_width_through_its_connector(
    name: str, student_widths: tuple[int, ...]
) -> None:
    teacher, student = shown(1), shown(2, student_widths)
    teacher_shapes, student_shapes = ([maps.shape for maps in each.features] for each in (teacher, student))
    connector = connectors(name, teacher_shapes, student_shapes, torch.Generator().manual_seed(0))
    if connector is not None:
        connector.double()
    leaf = leaves(student)
    found = loss(name)(teacher, leaf, LABELS, connector)
    assert found.shape == ()
    assert found.isfinite()
    found.backward()
    gradients = [each.grad for each in tensors(leaf) if each.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.any() for gradient in gradients)
    assert all(each.grad is None for each in tensors(teacher))
    for parameter in [] if connector is None else connector.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


def test_the_hint_is_the_map_of_the_middle_stage() -> None:
    teacher = shown(1)
    assert READS["hint_map"](teacher) is teacher.features[1]
    assert READS["last_map"](teacher) is teacher.features[-1]


def test_the_weights_are_the_published_ones() -> None:
    """r CE + a KD + b loss: RepDistiller's scripts, mdistiller's defaults, the ICKD authors' script."""
    assert {name: (entry.r, entry.a, entry.b) for name, entry in LOSSES.items()} == {
        "kd": (0.1, 0.9, 0),
        "dkd": (1, 0, 1),
        "fitnet": (1, 0, 100),
        "at": (1, 0, 1000),
        "sp": (1, 0, 3000),
        "cc": (1, 0, 0.02),
        "vid": (1, 0, 1),
        "rkd": (1, 0, 1),
        "pkt": (1, 0, 30000),
        "nst": (1, 0, 50),
        "ickd": (1, 0, 2.5),
        "kdsvd": (1, 0, 1),
        "semantic": (1, 1, 1),
        "relation": (1, 1, 1),
    }
    assert {name for name, entry in LOSSES.items() if not entry.weights_from} == {"semantic", "relation"}


@every_loss
def test_every_loss_names_its_paper_and_reads_what_can_be_read(name: str) -> None:
    entry = LOSSES[name]
    assert set(entry.reads) <= {*READS, "labels"}
    documented = entry.function.__doc__ or ""
    assert "arXiv" in documented or name in ("rkd", "relation")


def test_an_unknown_loss_is_bad_usage_with_a_suggestion() -> None:
    with pytest.raises(BadUsage, match="unknown distillation loss 'fitnets': did you mean 'fitnet'"):
        loss("fitnets")


def test_singular_vectors_are_decomposed_in_float64_whatever_the_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32 the decomposition fails now and then, on some machines, or answers NaN."""
    decompose, seen = torch.linalg.eigh, []

    def spy(product: torch.Tensor) -> Any:
        seen.append(product.dtype)
        return decompose(product)

    monkeypatch.setattr(torch.linalg, "eigh", spy)
    exact = value("kdsvd", shown(1), shown(2))
    single = value("kdsvd", changed(shown(1), torch.Tensor.float), changed(shown(2), torch.Tensor.float))
    assert set(seen) == {torch.float64}
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(exact.item(), rel=1e-5)
