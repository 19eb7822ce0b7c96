"""DistPro's hypergradient is the derivative, a step of alpha leaves the student alone, and a killed search goes on."""

from __future__ import annotations

import math
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import Fork
from tiny import CELL, FEW, TINY, equal, state, student
from torch import nn
from torch.func import functional_call

from common.errors import BadInput, BadUsage
from distill.process.distpro import NORMALISATIONS, Search, Settings, directional, next_parameters, split_streams
from distill.process.pathways import Pathway, Pathways, between
from distill.process.process import read_process
from distill.process.stages import Seen, Tapped
from distill.training import learning_rate, optimiser
from images.stream import Stream
from spaces.draw import Draw
from spaces.nb201.network import CellNetwork

pytestmark = pytest.mark.slow

PLAN = replace(TINY, epochs=2, epoch_steps=4)
STREAMS = split_streams(FEW, 0, PLAN.steps, PLAN.batch)
FOUR = between(("stage1", "pooled"), ("T1", "T4"))


class Doubled:
    """A stream in float64."""

    def __init__(self, stream: Stream) -> None:
        self.stream, self.resident, self.hash = stream, stream.resident, stream.hash

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = self.stream.batch(step)
        return images.double(), labels


def search(settings: Settings = Settings(), *, double: bool = False, plan: Any = PLAN) -> Search:  # noqa: B008
    teacher = Tapped(CellNetwork(CELL, replace(PLAN.skeleton, channels=6), Draw(7)))
    own = Tapped(student(PLAN))
    blank = torch.zeros(2, 3, 8, 8)
    pathways = Pathways(FOUR, teacher.look(blank), own.look(blank), torch.Generator().manual_seed(0))
    streams: Any = STREAMS
    if double:
        for module in (teacher, own, pathways):
            module.double()
        streams = tuple(map(Doubled, STREAMS))
    return Search(own, teacher, pathways, *streams, plan, settings)


# the hypergradient


class Unrolled:
    """One look-ahead of a search in float64, differentiable in w by way of theta' itself."""

    def __init__(self, steps: int = 2) -> None:
        self.search = search(double=True)
        for _ in range(steps):  # so that there is momentum
            self.search.advance()
        one = self.search
        one.sgd.param_groups[0]["lr"] = self.rate = learning_rate(PLAN, one.step)
        one.student.train()
        self.images, self.labels = one.train.batch(one.step)
        self.outer_images, self.outer_labels = one.held_out.batch(one.step)
        self.of_teacher = one.teacher.look(self.images)
        self.parameters = {name: value.detach().requires_grad_() for name, value in one.student.named_parameters()}
        self.live = dict(one.student.named_parameters())

    def losses(self, parameters: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        seen: Seen = functional_call(self.search.student, (parameters, self.search._copies()), (self.images,))
        return F.cross_entropy(seen.logits, self.labels), self.search.pathways(self.of_teacher, seen)

    def distances(self, parameters: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.losses(parameters)[1]

    def ahead(self, weights: torch.Tensor, graph: bool = True) -> dict[str, torch.Tensor]:
        """theta' (w) by SGD's formulas, written out."""
        cross_entropy, distances = self.losses(self.parameters)
        total = cross_entropy + weights @ distances
        gradients = torch.autograd.grad(total, list(self.parameters.values()), create_graph=graph)
        found = {}
        for (name, value), gradient in zip(self.parameters.items(), gradients, strict=True):
            full = gradient + PLAN.weight_decay * value.detach()
            buffer = PLAN.momentum * self.search.sgd.state[self.live[name]].get("momentum_buffer", 0) + full
            found[name] = value.detach() - self.rate * (full + PLAN.momentum * buffer)
        return found

    def outer(self, ahead: dict[str, torch.Tensor]) -> torch.Tensor:
        seen: Seen = functional_call(self.search.student, (ahead, self.search._copies()), (self.outer_images,))
        return F.cross_entropy(seen.logits, self.outer_labels)

    def by_jvp(self, weights: torch.Tensor) -> torch.Tensor:
        """What the module under test makes of it."""
        cross_entropy, distances = self.losses(self.live)
        gradients = torch.autograd.grad(cross_entropy + weights @ distances, list(self.live.values()))
        ahead = next_parameters(self.search.sgd, self.live, gradients)
        direction = self.search._outer_gradient(ahead)
        return -self.rate * (1 + PLAN.momentum) * directional(self.distances, self.live, direction)


def test_the_hypergradient_is_that_through_the_next_step() -> None:
    unrolled = Unrolled()
    weights = torch.tensor([0.3, 0.1, 0.5, 0.2, 0.1, 0.4], dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(unrolled.outer(unrolled.ahead(weights)), weights)
    found = unrolled.by_jvp(weights.detach())
    assert expected.abs().min() > 1e-7
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-14)


def test_the_hypergradient_is_the_central_difference() -> None:
    unrolled = Unrolled()
    weights = torch.full((6,), 0.2, dtype=torch.float64)
    found, step = unrolled.by_jvp(weights), 1e-4
    for number in range(6):
        shift = step * torch.eye(6, dtype=torch.float64)[number]
        outer = [unrolled.outer(unrolled.ahead(weights + sign * shift, graph=False)).item() for sign in (1, -1)]
        assert found[number].item() == pytest.approx((outer[0] - outer[1]) / (2 * step), rel=1e-6, abs=1e-12)


def test_one_forward_mode_pass_is_every_directional_derivative() -> None:
    unrolled, step = Unrolled(), 1e-8  # small: no ReLU is to pass 0 on the way
    generator = torch.Generator().manual_seed(5)
    direction = {
        name: torch.randn(value.shape, generator=generator, dtype=torch.float64)
        for name, value in unrolled.live.items()
    }
    found = directional(unrolled.distances, unrolled.live, direction)
    with torch.no_grad():
        ends = [
            unrolled.distances({name: value + sign * step * direction[name] for name, value in unrolled.live.items()})
            for sign in (1, -1)
        ]
    torch.testing.assert_close(found, (ends[0] - ends[1]) / (2 * step), rtol=1e-5, atol=1e-6)


def test_what_does_not_depend_on_the_parameters_has_no_derivative() -> None:
    parameters = {"a": torch.ones(2)}
    assert directional(lambda values: torch.ones(3), parameters, parameters).tolist() == [0, 0, 0]


def test_the_look_ahead_is_where_the_optimiser_goes_and_leaves_it_where_it_is() -> None:
    layer = nn.Linear(3, 2, dtype=torch.float64)
    sgd = optimiser(layer.parameters(), PLAN)
    for step in range(3):  # the first without momentum
        parameters = dict(layer.named_parameters())
        loss = layer(torch.full((4, 3), step + 1.0, dtype=torch.float64)).square().sum()
        gradients = torch.autograd.grad(loss, list(parameters.values()))
        before, kept = state(layer), [value.clone() for value in _tensors(sgd.state_dict())]
        ahead = next_parameters(sgd, parameters, gradients)
        assert equal(state(layer), before)
        assert all(map(torch.equal, _tensors(sgd.state_dict()), kept))
        for parameter, gradient in zip(parameters.values(), gradients, strict=True):
            parameter.grad = gradient
        sgd.step()
        for name, value in layer.named_parameters():
            torch.testing.assert_close(ahead[name], value.detach(), rtol=1e-12, atol=1e-14)


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        return [tensor for each in value.values() for tensor in _tensors(each)]
    return [tensor for each in value for tensor in _tensors(each)] if isinstance(value, list) else []


# the weights


def test_normalisations_of_one_pathway_by_hand() -> None:
    alpha = torch.tensor([-2.0], dtype=torch.float64)
    e = math.exp
    expected = {
        "constant": 1,
        "softmax": 1,
        "softmax-or-none": e(-2) / (e(-2) + e(1)),
        "sigmoid": 1 / (1 + e(2)),
        "absolute": 2,
        "share": 3,
        "share-or-none": 20 / 3,
        "scaled-or-none": e(-2) / (e(-2) + e(1)),
    }
    assert {name: rule(alpha).item() for name, rule in NORMALISATIONS.items()} == pytest.approx(expected)


def test_normalisations_of_three_pathways_by_hand() -> None:
    alpha, e = torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64), math.exp
    parts = [1, e(1), e(-1)]
    none = [part / (sum(parts) + e(1)) for part in parts]
    assert NORMALISATIONS["softmax"](alpha).tolist() == pytest.approx([part / sum(parts) for part in parts])
    assert NORMALISATIONS["softmax-or-none"](alpha).tolist() == pytest.approx(none)
    assert NORMALISATIONS["scaled-or-none"](alpha).tolist() == pytest.approx([3 * share for share in none])
    assert NORMALISATIONS["share"](alpha).tolist() == pytest.approx([0, 1.5, 1.5])
    assert NORMALISATIONS["share-or-none"](alpha).tolist() == pytest.approx([0, 10 / 3, 10 / 3])


def test_the_scale_is_of_two_normalisations_only() -> None:
    alpha = torch.ones(2)
    for name in NORMALISATIONS:
        ratio = Settings(name, scale=5.0).weights(alpha) / Settings(name).weights(alpha)
        assert ratio.tolist() == pytest.approx([5, 5] if name in ("constant", "scaled-or-none") else [1, 1])


def test_an_unknown_normalisation_is_bad_usage() -> None:
    with pytest.raises(BadUsage, match="did you mean 'softmax'"):
        Settings("softmx")


# the search


def test_a_step_of_alpha_leaves_the_student_its_statistics_and_the_random_numbers_alone() -> None:
    """With constant weights the student of a search is the one of a plain loop, bit for bit."""
    random = torch.random.get_rng_state()
    searched = search(Settings("constant"))
    plain = search()
    teacher = state(searched.teacher)
    sgd = optimiser([*plain.student.parameters(), *plain.pathways.parameters()], PLAN)
    for step in range(PLAN.steps):
        searched.advance()
        images, labels = STREAMS[0].batch(step)
        of_teacher = plain.teacher.look(images)
        sgd.param_groups[0]["lr"] = learning_rate(PLAN, step)
        seen = plain.student.train()(images)
        sgd.zero_grad()
        (F.cross_entropy(seen.logits, labels) + torch.ones(6) @ plain.pathways(of_teacher, seen)).backward()
        sgd.step()
    assert equal(state(searched.student), state(plain.student))
    assert equal(state(searched.pathways), state(plain.pathways))
    assert all(map(torch.equal, _tensors(searched.sgd.state_dict()), _tensors(sgd.state_dict())))
    assert equal(state(searched.teacher), teacher)
    assert torch.equal(torch.random.get_rng_state(), random)
    assert searched.history == [[1.0] * 6] * PLAN.steps
    assert not searched.student.network.stem[0]._forward_hooks


def test_alpha_takes_the_first_step_of_adam_down_the_hypergradient() -> None:
    searched = search(double=True)
    unrolled = Unrolled(0)
    searched.advance()
    alpha = torch.ones(6, dtype=torch.float64, requires_grad=True)
    outer = unrolled.outer(unrolled.ahead(alpha.softmax(0)))
    (slope,) = torch.autograd.grad(outer, alpha)
    assert slope.abs().min() > 1e-7
    # Adam's first step is its rate against the sign, whatever the size
    torch.testing.assert_close(searched.alpha.detach(), 1 - 0.1 * slope.sign(), rtol=0, atol=1e-5)


class Planted(nn.Module):
    """Two ways to teach: towards what the teacher says, and towards noise."""

    pathways = (Pathway("pooled", "pooled", "T1"), Pathway("stage1", "pooled", "T1"))

    def __init__(self) -> None:
        super().__init__()
        self.noise = 3 * torch.randn(10, generator=torch.Generator().manual_seed(8))

    def forward(self, teacher: Seen, own: Seen) -> torch.Tensor:
        return torch.stack([F.mse_loss(own.logits, teacher.logits), F.mse_loss(own.logits, self.noise.expand(8, 10))])


class Oracle(nn.Module):
    """Logits of the true class of the images that it was shown beforehand."""

    def __init__(self, streams: tuple[Stream, Stream], steps: int) -> None:
        super().__init__()
        self.known = [streams[0].batch(step) for step in range(steps)]

    def look(self, images: torch.Tensor) -> Any:
        labels = next(labels for known, labels in self.known if torch.equal(known, images))
        return Seen(6 * F.one_hot(labels, 10).float(), images, (), images, images)


@pytest.mark.parametrize("normalisation", ["softmax", "sigmoid", "scaled-or-none"])
def test_of_a_useful_and_a_noise_pathway_the_useful_one_ends_higher(normalisation: str) -> None:
    plan = replace(PLAN, epochs=1, epoch_steps=24, learning_rate=0.05)
    train, _ = split_streams(FEW, 1, plan.steps, plan.batch)
    # images of noise tell nothing of others: alpha is judged by the very images
    oracle: Any = Oracle((train, train), plan.steps)
    planted: Any = Planted()
    searched = Search(Tapped(student(plan)), oracle, planted, train, train, plan, Settings(normalisation))
    useful, noise = searched.run().at(1)
    assert useful > 1.5 * noise


def test_the_process_has_the_weights_of_the_steps_and_ends_with_the_last() -> None:
    searched = search(Settings(knots=4))
    found = searched.run(made_by={"by": "a test"})
    assert found.pathways == tuple(map(str, FOUR))
    assert found.times == (0, 0.25, 0.5, 0.75, 1)
    assert len(searched.history) == PLAN.steps == 8
    for time, step in zip(found.times, (0, 2, 4, 6, 7), strict=True):
        assert found.at(time) == pytest.approx(searched.history[step], rel=1e-5)
    assert found.made_by == {"by": "a test"}


def test_a_search_that_diverges_is_bad_input() -> None:
    with pytest.raises(BadInput, match="diverged"):
        search(plan=replace(PLAN, learning_rate=1e30)).run()


# the images


def test_a_fifth_is_held_out_and_never_trained_on() -> None:
    train, outer = split_streams(FEW, 3, 8, 8)
    assert len(train.resident.labels) == 16
    assert len(outer.resident.labels) == 4
    both = torch.cat([train.resident.images, outer.resident.images]).flatten(1)
    assert len(both.unique(dim=0)) == 20
    assert train.steps == outer.steps == 8
    assert torch.equal(train.batch(0)[0], split_streams(FEW, 3, 8, 8)[0].batch(0)[0])
    assert not torch.equal(train.batch(0)[0], split_streams(FEW, 4, 8, 8)[0].batch(0)[0])


def test_digits_are_drawn_for_the_student_to_see_once_and_never_mirrored() -> None:
    from images.digits import Digits

    train, outer = split_streams(Digits(), 0, 5, 8)
    assert len(train.resident.labels) == 40
    assert len(outer.resident.labels) == 10
    assert sorted(train._order.tolist()) == list(range(40))
    for drawn in (train._flips, outer._flips, train._shifts, outer._shifts):
        assert not drawn.any()


# interruptions


def search_until_killed(folder: Path, last: int) -> None:
    """A search that is killed in a step, or goes to its end where there is no such step."""

    def watch(step: int) -> None:
        if step == last:
            os.kill(os.getpid(), signal.SIGKILL)

    search().run(folder / "checkpoint.pt", every=0, watch=watch).write(folder / "process.json")


def test_killed_twice_a_search_ends_with_the_same_process(tmp_path: Path, fork: Fork) -> None:
    for step in (3, 6):
        code, _, err = fork(search_until_killed, tmp_path, step).end()
        assert code == -signal.SIGKILL, err
    assert not (tmp_path / "process.json").exists()
    code, _, err = fork(search_until_killed, tmp_path, -1).end()
    assert code == 0, err
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        undisturbed = search()
        undisturbed.run().write(tmp_path / "undisturbed.json")
    finally:
        torch.set_num_threads(threads)
    assert (tmp_path / "process.json").read_bytes() == (tmp_path / "undisturbed.json").read_bytes()
    resumed = search()
    resumed.load(tmp_path / "checkpoint.pt")
    assert resumed.step == 8
    assert torch.equal(resumed.alpha, undisturbed.alpha)
    assert equal(state(resumed.student), state(undisturbed.student))
    assert read_process(tmp_path / "process.json").at(1) == pytest.approx(undisturbed.history[-1], rel=1e-5)


def test_a_checkpoint_of_another_search_or_half_of_one_is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    searched = search()
    searched.advance()
    searched.save(path)
    with pytest.raises(BadInput, match="of another search"):
        search(Settings("sigmoid")).load(path)
    path.write_bytes(path.read_bytes()[: os.path.getsize(path) // 2])
    with pytest.raises(BadInput, match="delete it to begin the search anew"):
        search().load(path)
