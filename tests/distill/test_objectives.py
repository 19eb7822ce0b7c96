"""Objectives are the formulas they say, on one initialisation and one stream; with none, a training is a label's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from tiny import CELL, TINY, equal, held_out, state, stream_of, student
from torch import nn

from common.errors import BadUsage
from distill.losses import LOSSES, kd
from distill.process import diswot_plus
from distill.process.objectives import OBJECTIVES, Objective, Student, describe, objective
from distill.process.pathways import between
from distill.process.process import VARIANTS, Process
from distill.process.stages import Seen, Tapped
from distill.training import Group, Lockstep, live
from spaces.draw import Draw
from spaces.nb201.network import CellNetwork

IMAGES, LABELS = stream_of(1).batch(0)
NAMES = tuple(map(str, between(("stage1", "pooled"), ("T1",))))
PROCESS = Process(NAMES, (0.0, 0.5, 1.0), ((0.1, 0.2, 0.4), (0.3, 0.2, 0.1), (0.0, 0.0, 1.0)))
OTHER = PROCESS.constant([0.5, 0.0, 0.0])


def wide(channels: int = 6) -> Tapped:
    return Tapped(CellNetwork(CELL, replace(TINY.skeleton, channels=channels), Draw(9)))


def made(name: str, teacher: Tapped | None = None, network: nn.Module | None = None, seed: int = 0) -> Objective:
    teacher, own = teacher or wide(), Tapped(network or student())
    return objective(name, teacher.look(IMAGES), own.look(IMAGES), seed, {"": PROCESS, "other": OTHER})


def trained(names: list[str], channels: int = 6) -> list[CellNetwork]:
    """All in lock-step, as comparisons train them."""
    teacher, networks, groups = wide(channels), [], []
    for name in names:
        network = student()
        what = made(name, teacher, network)
        networks.append(network)
        groups.append(Group(Student(network, what), (0.0,), what))
    results = Lockstep(groups, [stream_of(1)], [], TINY, teacher.look).run(held_out("val"), held_out("test"))
    assert all(result.status == "ok" for result in results)
    return networks


@pytest.mark.slow
def test_without_a_teacher_and_with_no_weight_on_any_pathway_a_training_is_the_vanilla_label_bit_for_bit() -> None:
    label = student()
    Lockstep([Group(label, (0.0,))], [stream_of(1)], [], TINY).run(held_out("val"), held_out("test"))
    for network in trained(["vanilla", "none"]):
        assert equal(state(network), state(label))


@pytest.mark.slow
def test_kd_is_the_distilled_label() -> None:
    label, teacher = student(), wide()
    plan = replace(TINY, epochs=1, epoch_steps=2)
    teacher.eval()
    Lockstep([Group(label, (0.9,))], [stream_of(1, plan)], [live(teacher)], plan).run(held_out("val"), held_out("test"))
    network = student()
    what = made("kd", teacher, network)
    group = Group(Student(network, what), (0.0,), what)
    Lockstep([group], [stream_of(1, plan)], [], plan, teacher.look).run(held_out("val"), held_out("test"))
    for name, value in network.named_parameters():
        # (1 - .9) is not .1 to the last bit
        torch.testing.assert_close(value, dict(label.named_parameters())[name], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_reaches_the_student_and_what_is_learned_with_it(name: str) -> None:
    teacher, network = wide(), student().train()
    what = made(name, teacher, network)
    value = what(teacher.look(IMAGES), Tapped(network)(IMAGES), LABELS, 0.0)
    assert value.ndim == 0
    value.backward()
    assert value.isfinite()
    for parameter in [*network.parameters(), *what.parameters()]:
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
    assert not any(parameter.requires_grad and parameter.grad is not None for parameter in teacher.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_published_loss_is_weighted_as_published(name: str) -> None:
    teacher, network = wide(4), student().train()
    of_teacher, own = teacher.look(IMAGES), Tapped(network)(IMAGES)
    what = made(name, teacher, network)
    loss = LOSSES[name]
    expected = loss.r * F.cross_entropy(own.logits, LABELS) + loss.a * kd(of_teacher.logits, own.logits, 4.0)
    if name != "kd":
        expected = expected + loss.b * loss(of_teacher, own, LABELS, getattr(what, "connector", None))
    torch.testing.assert_close(what(of_teacher, own, LABELS, 0.3), expected)


@pytest.mark.slow
def test_a_process_weighs_the_distances_of_its_pathways_by_time() -> None:
    teacher, network = wide(), student().train()
    what = made("replay", teacher, network)
    of_teacher, own = teacher.look(IMAGES), Tapped(network)(IMAGES)
    cross_entropy, distances = F.cross_entropy(own.logits, LABELS), what.pathways(of_teacher, own)
    for passed, weights in ((0.0, (0.1, 0.2, 0.4)), (0.25, (0.2, 0.2, 0.25)), (0.75, (0.15, 0.1, 0.55))):
        expected = cross_entropy + sum(w * d for w, d in zip(weights, distances, strict=True))
        torch.testing.assert_close(what(of_teacher, own, LABELS, passed), expected)


@pytest.mark.slow
def test_the_replay_of_a_constant_process_is_the_constant_run() -> None:
    constant = PROCESS.variant("mean")
    teacher, networks = wide(), []
    for name in ("replay", "mean", "shuffled"):
        network = student()
        what = objective(name, teacher.look(IMAGES), Tapped(network).look(IMAGES), 0, {"": constant})
        group = Group(Student(network, what), (0.0,), what)
        Lockstep([group], [stream_of(1)], [], TINY, teacher.look).run(held_out("val"), held_out("test"))
        networks.append(network)
    assert equal(state(networks[0]), state(networks[1]))
    assert equal(state(networks[0]), state(networks[2]))


@pytest.mark.slow
def test_a_variant_names_its_process_and_starts_from_the_same_transforms() -> None:
    teacher, network = wide(), student().train()
    own, other = made("replay", teacher, network), made("replay@other", teacher, network)
    assert equal(state(own), state(other))
    of_teacher, seen = teacher.look(IMAGES), Tapped(network)(IMAGES)
    expected = F.cross_entropy(seen.logits, LABELS) + 0.5 * own.pathways(of_teacher, seen)[0]
    torch.testing.assert_close(other(of_teacher, seen, LABELS, 0.7), expected)


@pytest.mark.slow
def test_students_side_by_side_are_trained_as_alone() -> None:
    names = ["vanilla", "fitnet", "diswot+", "replay"]
    for name, together in zip(names, trained(names), strict=True):
        (alone,) = trained([name])
        assert equal(state(together), state(alone)), name


@pytest.mark.slow
def test_what_is_learned_beside_the_student_is_drawn_by_seed_and_name() -> None:
    random = torch.random.get_rng_state()
    for name in ("fitnet", "diswot+", "replay"):
        assert equal(state(made(name)), state(made(name)))
        assert not equal(state(made(name)), state(made(name, seed=1)))
    assert equal(state(made("replay")), state(made("uniform")))
    assert torch.equal(torch.random.get_rng_state(), random)


# DisWOT+


def _seen(generator: torch.Generator, channels: int = 4, size: int = 3) -> Seen:
    maps = torch.randn(5, channels, size, size, generator=generator, dtype=torch.float64)
    classifier = torch.randn(10, channels, generator=generator, dtype=torch.float64)
    pooled = maps.mean((2, 3))
    return Seen(pooled @ classifier.T, pooled, (maps,) * 3, maps, classifier)


def test_diswot_plus_is_what_the_paper_prints() -> None:
    """M_s and M_r entry by entry, Grad-CAM by differentiating the label's logit."""
    generator = torch.Generator().manual_seed(0)
    teacher, own = _seen(generator), _seen(generator)
    labels = torch.tensor([3, 1, 3, 0, 9])

    def correlation(vectors: list[torch.Tensor]) -> list[list[float]]:
        products = [[float((a * b).sum()) for b in vectors] for a in vectors]
        norm = sum(value**2 for row in products for value in row) ** 0.5
        return [[value / norm for value in row] for row in products]

    def cams(seen: Seen) -> torch.Tensor:
        maps = seen.features[-1].clone().requires_grad_()
        logits = maps.mean((2, 3)) @ seen.classifier.T
        (gradient,) = torch.autograd.grad(sum(logits[n, label] for n, label in enumerate(labels)), maps)
        return gradient * seen.features[-1]

    def distance(first: list[list[float]], second: list[list[float]]) -> float:
        squares = [(a - b) ** 2 for x, y in zip(first, second, strict=True) for a, b in zip(x, y, strict=True)]
        return sum(squares) ** 0.5 / len(first) ** 2

    by_channel = [correlation([cams(seen)[:, c] for c in range(4)]) for seen in (teacher, own)]
    by_image = [correlation(list(seen.features[-1])) for seen in (teacher, own)]
    found = diswot_plus.Terms(teacher, own, None)(teacher, own, labels)
    assert found.tolist() == pytest.approx([distance(*by_channel), distance(*by_image)], rel=1e-9)


def test_the_terms_are_zero_for_the_teacher_itself_and_never_above_their_bounds() -> None:
    generator = torch.Generator().manual_seed(1)
    teacher, labels = _seen(generator), torch.tensor([0, 1, 2, 3, 4])
    terms = diswot_plus.Terms(teacher, teacher, None)
    assert terms(teacher, teacher, labels).tolist() == pytest.approx([0, 0], abs=1e-12)
    for _ in range(20):
        semantic, relation = terms(teacher, _seen(generator), labels).tolist()
        assert 0 < semantic <= 2 / 4**2
        assert 0 < relation <= 2 / 5**2


def test_maps_that_are_dead_give_no_nan() -> None:
    generator = torch.Generator().manual_seed(2)
    teacher, own, labels = _seen(generator), _seen(generator), torch.tensor([0, 1, 2, 3, 4])
    dead = torch.zeros_like(own.features[-1]).requires_grad_()
    terms = diswot_plus.Terms(teacher, own, None)(teacher, own._replace(features=(dead,) * 3), labels)
    terms.sum().backward()
    assert terms.isfinite().all()
    assert dead.grad is not None
    assert dead.grad.isfinite().all()


def test_unequal_widths_need_a_projection() -> None:
    generator = torch.Generator().manual_seed(3)
    with pytest.raises(ValueError, match="projection"):
        diswot_plus.Terms(_seen(generator, 6), _seen(generator, 4), None)


@pytest.mark.slow
def test_the_smooth_form_is_its_four_terms() -> None:
    teacher, network = wide(4), student().train()
    of_teacher, own = teacher.look(IMAGES), Tapped(network)(IMAGES)
    value = made("diswot+smooth", teacher, network)(of_teacher, own, LABELS, 0.0)
    expected = 0.1 * F.cross_entropy(own.logits, LABELS) + 0.9 * kd(of_teacher.logits, own.logits, 4.0)
    expected = expected + LOSSES["semantic"](of_teacher, own, LABELS) + 3000 * LOSSES["relation"](of_teacher, own)
    torch.testing.assert_close(value, expected)


# names


def test_every_objective_is_described_and_no_two_alike() -> None:
    processes = {"": PROCESS, "other": OTHER}
    described = [repr(describe(name, processes)) for name in [*OBJECTIVES, *VARIANTS, "replay@other"]]
    assert len(set(described)) == len(described)
    assert describe("replay@other", processes) == describe("replay", {"": OTHER})
    assert describe("at", {})["b"] == 1000


def test_a_wrong_name_and_a_variant_without_a_process_are_bad_usage() -> None:
    with pytest.raises(BadUsage, match="did you mean 'diswot"):
        describe("diswot", {})
    with pytest.raises(BadUsage, match="--process"):
        describe("replay", {})
    with pytest.raises(BadUsage, match=r"name its file, other\.json, with --process"):
        describe("replay@other", {"": PROCESS})
    with pytest.raises(BadUsage, match="unknown objective 'kd@other'"):
        describe("kd@other", {"": PROCESS, "other": OTHER})
