"""Hinton's distillation loss against its formula, its gradient and its limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from loss_formulas import logits, softmax

from distill.losses import kd


@pytest.mark.parametrize("temperature", [0.7, 1.0, 4.0, 20.0])
@pytest.mark.parametrize("shape", [(1, 2), (5, 10), (3, 100)])
def test_kd_is_the_divergence_in_nats_averaged_over_images_times_the_squared_temperature(
    shape: tuple[int, int], temperature: float
) -> None:
    teacher, student = logits(0, *shape), logits(1, *shape)
    p, q = softmax(teacher.numpy() / temperature), softmax(student.numpy() / temperature)
    expected = temperature**2 * np.mean([sum(p[i] * np.log(p[i] / q[i])) for i in range(shape[0])])
    assert kd(teacher, student, temperature).item() == pytest.approx(expected, rel=1e-12)


def test_the_default_temperature_is_four() -> None:
    teacher, student = logits(0, 4, 10), logits(1, 4, 10)
    assert kd(teacher, student).item() == kd(teacher, student, 4.0).item() != kd(teacher, student, 1.0).item()


def test_equal_logits_lose_nothing_and_a_constant_more_changes_nothing() -> None:
    teacher, student = logits(0, 4, 10), logits(1, 4, 10)
    assert kd(teacher, teacher).item() == 0
    shift = torch.tensor([[3.0], [-2.0], [0.5], [100.0]], dtype=torch.float64)
    assert kd(teacher, teacher + shift).item() == pytest.approx(0, abs=1e-12)
    assert kd(teacher + shift, student).item() == pytest.approx(kd(teacher, student).item(), rel=1e-9)


def test_teacher_and_student_are_not_interchangeable() -> None:
    teacher, student = logits(0, 4, 10), logits(1, 4, 10)
    assert kd(teacher, student).item() != pytest.approx(kd(student, teacher).item(), rel=1e-3)


def test_the_loss_is_never_negative() -> None:
    values = [kd(logits(k, 3, 7), logits(k + 100, 3, 7)).item() for k in range(50)]
    assert min(values) > 0


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_gradient_is_temperature_times_the_difference_of_probabilities(temperature: float) -> None:
    """d/dz of T^2 KL(p || softmax(z / T)) is T (softmax(z / T) - p): the student is pulled towards the teacher."""
    teacher, student = logits(0, 5, 10), logits(1, 5, 10).requires_grad_()
    kd(teacher, student, temperature).backward()
    p = softmax(teacher.numpy() / temperature)
    q = softmax(student.detach().numpy() / temperature)
    assert student.grad is not None
    np.testing.assert_allclose(student.grad.numpy(), temperature * (q - p) / 5, rtol=1e-9, atol=1e-14)


def test_a_step_against_the_gradient_brings_the_student_closer() -> None:
    teacher, student = logits(0, 5, 10), logits(1, 5, 10).requires_grad_()
    loss = kd(teacher, student)
    loss.backward()
    assert student.grad is not None
    assert kd(teacher, student.detach() - 0.1 * student.grad).item() < loss.item()


def test_at_high_temperature_the_loss_is_half_the_squared_distance_of_centred_logits() -> None:
    """The limit of Hinton et al., section 2.1; the factor T^2 is what keeps it from vanishing."""
    teacher, student = logits(0, 5, 10), logits(1, 5, 10)
    centred = [each - each.mean(1, keepdim=True) for each in (teacher, student)]
    expected = (centred[0] - centred[1]).square().sum(1).mean().item() / (2 * 10)
    assert kd(teacher, student, 1e4).item() == pytest.approx(expected, rel=1e-3)


def test_extreme_logits_give_a_finite_loss_and_gradient() -> None:
    teacher = torch.tensor([[1000.0, 0.0, -1000.0]])
    student = torch.tensor([[-1000.0, 0.0, 1000.0]], requires_grad=True)
    loss = kd(teacher, student, 1.0)
    loss.backward()
    assert student.grad is not None
    assert loss.item() == pytest.approx(2000)
    torch.testing.assert_close(student.grad, torch.tensor([[-1.0, 0.0, 1.0]]))
