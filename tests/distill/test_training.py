"""Training is the optimiser written out, of each student as if it were alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from tiny import CELL, TINY, equal, held_out, said_by, share, stack_of, state, stream_of, student
from torch import nn

from distill.recipes import Recipe
from distill.training import (
    Answers,
    Group,
    HeldOut,
    Lockstep,
    Trained,
    live,
    logits_of,
    measured,
    remembered,
)
from images.stream import Stream
from spaces.nb201.cell import cell_at
from spaces.stack import unstack

pytestmark = pytest.mark.slow

VAL, TEST = held_out("val"), held_out("test")
LONG = replace(TINY, epochs=4, epoch_steps=2)


def train(
    groups: Sequence[Group], seeds: Sequence[int] = (1,), plan: Recipe = TINY, answers: Sequence[Answers] | None = None
) -> list[Trained]:
    """On the stream of each seed, with a teacher that says something else of each."""
    if answers is None:
        answers = [remembered(said_by(seed, plan), plan.batch) for seed in seeds]
    return Lockstep(groups, [stream_of(seed, plan) for seed in seeds], answers, plan).run(VAL, TEST)


def same(first: Trained, second: Trained) -> bool:
    """Bit for bit; NaN is NaN."""
    return first.status == second.status and all(
        a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(first[:4], second[:4], strict=True)
    )


# the optimiser


class InDouble(Stream):
    """A stream in double precision."""

    def __init__(self, stream: Stream) -> None:
        self.__dict__.update(vars(stream))

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = super().batch(step)
        return images.double(), labels


def written_out(network: nn.Module, stream: Stream, said: torch.Tensor, weight: float, plan: Recipe) -> None:
    """v = m v + g, w -= lr (g + m v), g the gradient of (1 - weight) CE + weight T^2 KL plus decay times w."""
    parameters = list(network.parameters())
    velocity = [torch.zeros_like(p) for p in parameters]
    network.train()
    for step in range(plan.steps):
        passed = step / plan.steps
        rate = plan.learning_rate * math.cos(math.pi * passed / 2) ** 2
        if plan.schedule == "steps":
            rate = plan.learning_rate / 10 ** sum(8 * step >= eighths * plan.steps for eighths in (5, 6, 7))
        if plan.schedule == "trapezoid":
            rate = plan.learning_rate * min((step + 1) / 50, 10 * (plan.steps - step) / 3 / plan.steps, 1)
        images, labels = stream.batch(step)
        logits = network(images).logits
        hard = -logits.log_softmax(1)[torch.arange(plan.batch), labels].mean()
        p = (said[step * plan.batch : (step + 1) * plan.batch] / plan.temperature).softmax(1)
        soft = plan.temperature**2 * (p * (p.log() - (logits / plan.temperature).log_softmax(1))).sum(1).mean()
        gradients = torch.autograd.grad((1 - weight) * hard + weight * soft, parameters)
        with torch.no_grad():
            for w, gradient, v in zip(parameters, gradients, velocity, strict=True):
                g = gradient + plan.weight_decay * w
                v.mul_(plan.momentum).add_(g)
                w.sub_(rate * (g + plan.momentum * v))


@pytest.mark.parametrize("schedule", ["cosine", "steps", "trapezoid"])
def test_it_is_nesterovs_momentum_with_weight_decay_on_each_students_own_loss(schedule: str) -> None:
    """Two cells, two streams, weights 0, .9 and 1, eight steps, of which the last three have a lower rate each."""
    plan = replace(
        LONG, learning_rate=0.05, weight_decay=0.01, momentum=0.8, temperature=2.0, schedule=schedule, kd_weight=0.5
    )
    cells, seeds, weights = [CELL, cell_at(3)], [1, 2], [(0.0, 0.9, 1.0, 0.0), (1.0, 0.0)]
    drawn = [[10, 10, 10, 11], [12, 13]]
    streams = [InDouble(stream_of(seed, plan)) for seed in seeds]
    said = [said_by(seed, plan).double() for seed in seeds]
    stacks = [stack_of(of, 2, cell).double() for of, cell in zip(drawn, cells, strict=True)]
    lockstep = Lockstep(
        [Group(stack, of) for stack, of in zip(stacks, weights, strict=True)],
        streams,
        [remembered(each, plan.batch) for each in said],
        plan,
    )
    for _ in range(plan.steps):
        lockstep.advance()
    for stack, cell, of, own in zip(stacks, cells, drawn, weights, strict=True):
        values = state(stack)
        for number, (seed, weight) in enumerate(zip(of, own, strict=True)):
            reference = student(cell=cell, seed=seed).double()
            stream = number * 2 // len(of)
            written_out(reference, streams[stream], said[stream], weight, plan)
            for name, value in state(reference).items():
                found = share(values[name], number, len(of))
                # losses are in single precision
                torch.testing.assert_close(found, value.reshape(-1), rtol=1e-5, atol=2e-6, msg=f"{number} {name}")


def test_the_students_train_with_the_statistics_of_the_batch_whatever_mode_they_were_in() -> None:
    training, evaluating = student().train(), student().eval()
    train([Group(training, (0.0,))])
    train([Group(evaluating, (0.0,))])
    assert equal(state(training), state(evaluating))
    moved = [v for name, v in state(training).items() if name.endswith("running_mean")]
    assert all(v.any() for v in moved)


# in lock-step


def test_groups_in_lock_step_are_bit_for_bit_the_groups_alone() -> None:
    def groups() -> list[Group]:
        return [
            Group(stack_of([0, 0, 1, 1], 2, cell), (0.0, 0.9, 0.0, 0.9)) for cell in (CELL, cell_at(3), cell_at(1462))
        ] + [Group(stack_of([5, 6], 2, cell_at(77)), (1.0, 0.0))]

    together, alone = groups(), groups()
    results = train(together, (1, 2))
    expected = [result for group in alone for result in train([group], (1, 2))]
    assert results == expected
    assert len(results) == 14
    for one, other in zip(together, alone, strict=True):
        assert equal(state(one.network), state(other.network))


def test_a_teacher_asked_at_every_step_says_what_it_would_be_remembered_for() -> None:
    teacher = student(cell=cell_at(1462), seed=9)
    stream = stream_of(1)
    logits = torch.cat([logits_of(teacher, stream.batch(step)[0]) for step in range(stream.steps)])
    found = []
    for answers in (live(teacher), remembered(logits, TINY.batch)):
        network = student()
        found.append((train([Group(network, (0.9,))], answers=[answers]), state(network)))
    assert found[0][0] == found[1][0]
    assert equal(found[0][1], found[1][1])
    assert not any(parameter.grad is not None for parameter in teacher.parameters())


def test_each_student_has_the_teachers_answers_to_the_images_of_its_own_stream() -> None:
    """With the answers of the two streams exchanged the distilled students change, the vanilla ones do not."""
    results = []
    for order in ((1, 2), (2, 1)):
        stack = stack_of([0, 0, 0, 0], 2)
        train([Group(stack, (0.0, 0.9, 0.0, 0.9))], (1, 2), answers=[remembered(said_by(s), TINY.batch) for s in order])
        results.append(state(stack)["classifier.weight"])
    changed = [not torch.equal(results[0][number], results[1][number]) for number in range(4)]
    assert changed == [False, True, False, True]


@pytest.mark.parametrize(
    "teachers", [[], [remembered(torch.full((TINY.steps * TINY.batch, 10), math.nan), TINY.batch)]]
)
def test_without_weight_on_the_teacher_it_is_not_needed_and_not_read(teachers: list[Answers]) -> None:
    alone, advised = student(), student()
    assert train([Group(alone, (0.0,))], answers=teachers) == train([Group(advised, (0.0,))])
    assert equal(state(alone), state(advised))


def test_all_weight_on_the_teacher_leaves_the_labels_unread() -> None:
    found = []
    for turn in (0, 1):
        stream = stream_of(1)
        labels = (stream.resident.labels + turn) % 10
        stream.resident = replace(stream.resident, labels=labels)
        network = student()
        answers = [remembered(said_by(1), TINY.batch)]
        Lockstep([Group(network, (1.0,))], [stream], answers, TINY).run(VAL, TEST)
        found.append(state(network))
    assert equal(*found)


def test_distillation_needs_a_teacher_for_every_stream() -> None:
    streams = [stream_of(1), stream_of(2)]
    answers = [remembered(said_by(1), TINY.batch)]
    with pytest.raises(ValueError, match="2 streams needs as many teachers, not 1"):
        Lockstep([Group(stack_of([0, 1], 2), (0.0, 0.9))], streams, answers, TINY)


def test_training_is_the_same_every_time_and_the_global_random_state_neither_read_nor_changed() -> None:
    found = []
    for seed in (0, 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            network = stack_of([0, 1])
            train([Group(network, (0.0, 0.9))])
            assert torch.equal(torch.get_rng_state(), before)
            found.append(state(network))
    assert equal(*found)
    assert not equal(found[0], state(stack_of([0, 1])))


# results


def test_val_and_test_are_after_the_last_step_and_best_is_the_highest_test_of_all_epochs() -> None:
    plan = replace(LONG, learning_rate=0.4)
    stack = stack_of([0, 1, 2, 3], 2, plan=plan)
    group = Group(stack, (0.0, 0.9, 0.0, 0.9))
    streams = [stream_of(seed, plan) for seed in (1, 2)]
    answers = [remembered(said_by(seed, plan), plan.batch) for seed in (1, 2)]
    seen = []

    def watch(step: int) -> None:
        if step % plan.epoch_steps == 0:
            seen.append([accuracy_of(stack, number, TEST) for number in range(4)])

    results = Lockstep([group], streams, answers, plan).run(VAL, TEST, watch=watch)
    assert len(seen) == plan.epochs == 4
    for number, result in enumerate(results):
        assert result.status == "ok"
        assert result.val == pytest.approx(accuracy_of(stack, number, VAL))
        assert result.test == pytest.approx(seen[-1][number])
        assert result.best == pytest.approx(max(epoch[number] for epoch in seen))
    assert any(result.best > result.test for result in results), "an epoch before the last was the best of a student"
    assert len({result.test for result in results}) > 1


def accuracy_of(stack: nn.Module, number: int, split: HeldOut) -> float:
    """Image by image."""
    stack.eval()
    with torch.no_grad():
        found = [unstack(stack(image[None].repeat(1, 2, 1, 1)).logits, 4)[number, 0] for image in split.images]
    hits = sum(int(logits.argmax() == label) for logits, label in zip(found, split.labels, strict=True))
    return 100 * hits / len(split.labels)


def test_accuracy_is_in_percent_and_does_not_depend_on_the_batch() -> None:
    network = student()
    logits = logits_of(network, TEST.images, batch=7)
    torch.testing.assert_close(logits, logits_of(network, TEST.images), rtol=1e-5, atol=1e-5)
    right, wrong = logits.argmax(1), logits.argmin(1)
    half = torch.where(torch.arange(24) < 12, right, wrong)
    for labels, expected in ((right, 100), (wrong, 0), (half, 50)):
        assert measured(Group(network, (0.0,)), HeldOut(TEST.images, labels)).accuracy.tolist() == [expected]
    assert not logits.requires_grad
    of_stack = logits_of(stack_of([4, 0], 2), TEST.images, batch=7, streams=2)
    torch.testing.assert_close(unstack(of_stack, 2)[1], logits, rtol=1e-5, atol=1e-5)


def log_probability(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """ln p(label) of each row of logits [N, K]."""
    logits = logits.astype(np.float64)
    highest = logits.max(1)
    return logits[range(len(labels)), labels] - highest - np.log(np.exp(logits - highest[:, None]).sum(1))


def test_log_likelihood_is_the_mean_log_probability_of_the_test_labels_after_the_last_step() -> None:
    plan = replace(LONG, learning_rate=0.4)
    stack = stack_of([0, 1, 2, 3], 2, plan=plan)
    results = train([Group(stack, (0.0, 0.9, 0.0, 0.9))], (1, 2), plan)
    logits = unstack(logits_of(stack, TEST.images, batch=1, streams=2), 4).numpy()
    expected = [log_probability(own, TEST.labels.numpy()).mean() for own in logits]
    assert [result.log_likelihood for result in results] == pytest.approx(expected, rel=1e-5)
    assert len(set(expected)) == 4
    assert all(value < 0 for value in expected)


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("scale", [1, 1e5, 1e30])
def test_log_likelihood_does_not_overflow_and_is_nan_where_any_logit_is_not_finite(scale: float, bad: float) -> None:
    """Also where it is the logit of a class that no image has."""
    stack, labels = stack_of([0, 1, 2, 3], 2), TEST.labels.clamp(min=1)
    stack.classifier.weight.data *= scale
    share(stack.classifier.bias.data, 2, 4)[0] = bad
    found = measured(Group(stack, (0.0,) * 4), HeldOut(TEST.images, labels), streams=2)
    logits = unstack(logits_of(stack, TEST.images, streams=2), 4).numpy()
    assert math.isnan(found.log_likelihood[2])
    assert math.isnan(found.accuracy[2])
    for number in (0, 1, 3):
        expected = log_probability(logits[number], labels.numpy()).mean()
        assert found.log_likelihood[number].item() == pytest.approx(expected, rel=1e-12)
        assert math.isfinite(expected)


# divergence


@pytest.mark.parametrize("position", [0, 1, 2, 3])
def test_one_that_diverges_is_recorded_and_leaves_the_others_as_they_would_be(position: int) -> None:
    def run(broken: bool) -> tuple[list[Trained], list[dict[str, torch.Tensor]]]:
        stack = stack_of([0, 1, 2, 3], 2)
        if broken:
            share(stack.classifier.weight.data, position, 4)[0] = math.inf
        groups = [Group(stack, (0.0, 0.9, 0.0, 0.9)), Group(stack_of([4, 5], 2, cell_at(3)), (0.9, 0.0))]
        results = train(groups, (1, 2))
        return results, [state(group.network) for group in groups]

    (healthy, of_healthy), (broken, of_broken) = run(False), run(True)
    assert {result.status for result in healthy} == {"ok"}
    assert broken[position].status == "diverged"
    assert all(math.isnan(value) for value in broken[position][:4])
    others = [number for number in range(6) if number != position]
    assert all(same(broken[number], healthy[number]) for number in others)
    assert equal(of_broken[1], of_healthy[1])
    for name, value in of_healthy[0].items():
        for number in range(4):
            if number != position:
                assert torch.equal(share(of_broken[0][name], number, 4), share(value, number, 4)), name


def test_a_loss_that_was_not_finite_once_is_not_forgotten() -> None:
    network = stack_of([0, 1])
    lockstep = Lockstep([Group(network, (0.0, 0.0))], [stream_of(1)], [], TINY)
    healthy = state(network)
    share(network.classifier.weight.data, 1, 2)[0] = math.nan
    lockstep.advance()
    network.load_state_dict(healthy)
    lockstep.optimisers[0].state.clear()
    assert [result.status for result in lockstep.run(VAL, TEST)] == ["ok", "diverged"]
    assert measured(lockstep.groups[0], TEST).accuracy.isfinite().all()


@pytest.mark.parametrize("steps", [1, 3])
def test_a_rate_too_high_is_diverged_also_where_only_the_last_step_ruins_the_network(steps: int) -> None:
    wild = replace(TINY, learning_rate=1e30, epochs=1, epoch_steps=steps)
    (result,) = train([Group(student(), (0.0,))], plan=wild)
    assert result.status == "diverged"
    assert all(math.isnan(value) for value in result[:4])


# precision


def test_bfloat16_is_another_training_whose_losses_and_measures_stay_in_single_precision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kinds: set[torch.dtype] = set()
    cross_entropy = nn.functional.cross_entropy

    def listen(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        kinds.add(logits.dtype)
        return cross_entropy(logits, labels)

    monkeypatch.setattr("distill.training.F.cross_entropy", listen)
    single, half = stack_of([0, 1]), stack_of([0, 1])
    calm = replace(TINY, learning_rate=0.003)
    train([Group(single, (0.0, 0.9))], plan=calm)
    results = train([Group(half, (0.0, 0.9))], plan=replace(calm, precision="bfloat16"))
    assert [result.status for result in results] == ["ok", "ok"]
    assert kinds == {torch.float32}
    assert not equal(state(single), state(half))
    for name, value in state(half).items():
        torch.testing.assert_close(value, state(single)[name], rtol=0.2, atol=0.1, msg=name)
        assert value.dtype == state(single)[name].dtype
    assert logits_of(half, TEST.images).dtype == torch.float32


# the loss


@pytest.mark.parametrize("end", [0.0, 1.0], ids=["the teacher's weight", "the labels' weight"])
def test_the_loss_is_continuous_as_a_weight_goes_to_0(end: float) -> None:
    """A loss that leaves out T^2 with the labels' term falls sixteenfold there."""
    plan = replace(TINY, temperature=4.0)
    draw = torch.Generator().manual_seed(3)
    logits, said = (3 * torch.randn(8, 10, generator=draw, dtype=torch.float64) for _ in range(2))
    labels = torch.arange(8) % 10

    def loss(weight: float) -> float:
        lockstep = Lockstep.__new__(Lockstep)
        lockstep.recipe = plan
        group = Group(student(), (weight,))
        (found,) = lockstep._losses(group, logits, [(torch.empty(8, 0), labels)], [said])
        return found.item()

    limit = loss(end)
    steps = [abs(loss(abs(end - step)) - limit) for step in (1e-2, 1e-4, 1e-6, 1e-8)]
    assert steps[0] > 0
    for larger, smaller in pairwise(steps):
        assert smaller == pytest.approx(larger / 100, rel=0.05)
