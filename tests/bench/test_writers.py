"""A proxy that writes into what it reads has no score, and all others have what they have without it, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch

import images
from bench.benchmarks import benchmark, with_teacher
from bench.plan import Pass, visiting_order
from bench.worker import Outcome, Setup
from common.reproducible import settings
from images.base import Batch
from probe.network import Probe
from probe.watched import Watched
from proxies.base import Proxy, Reference
from proxies.registry import create

pytestmark = pytest.mark.slow

DIGITS = replace(benchmark("digits"), batch=16)
CELLS = visiting_order(DIGITS.space)[:3]
OTHERS = tuple(map(create, ("l2_norm", "nwot", "kd", "snip", "vkdnw")))


def _doubled(module: object, inputs: object, output: object) -> object:
    return output * 2 if isinstance(output, torch.Tensor) else output


WRITTEN: dict[str, Callable[[Probe, Probe], object]] = {
    "weights": lambda student, _: [weight.mul_(3) for weight in student.weights.values()],
    "parameters": lambda student, _: student.parameters["classifier.bias"].add_(1),
    "network": lambda student, _: [one.detach().add_(1) for one in student.network.parameters()],
    "classifier_weight": lambda student, _: student.classifier_weight.data.zero_(),
    "logits": lambda student, _: student.logits.mul_(0),
    "pooled": lambda student, _: student.pooled[0].zero_(),
    "features": lambda student, _: student.features[1].relu_(),
    "images": lambda student, _: student.images.neg_(),
    "labels": lambda student, _: student.labels.numpy().fill(0),
    "gradients": lambda student, _: [one.abs_() for one in student.gradients.values()],
    "noise.logits": lambda student, _: student.noise.logits.exp_(),
    "teacher.pooled": lambda _, teacher: teacher.pooled.zero_(),
    "weights (one less)": lambda student, _: student.weights.clear(),
    "weights (one other)": lambda student, _: student.weights.update({"classifier.weight": torch.zeros(10, 32)}),
    "network (its mode)": lambda student, _: student.network.eval(),
    "network (a hook)": lambda student, _: [one.register_forward_hook(_doubled) for one in student.network.modules()],
    "teacher.weights": lambda _, teacher: [weight.data.zero_() for weight in teacher.weights.values()],
}


@dataclass(frozen=True)
class Writer(Proxy):
    """Writes, and says that all is well."""

    name = "writer"
    family = "test"
    needs = ("forward", "weights", "gradients", "noise.forward", "teacher")
    sees = "function"
    reference = Reference(title="A test", year=2024, arxiv="", bibtex="")

    what: str = "weights"

    def score(self, student: Probe, teacher: Probe) -> float:
        WRITTEN[self.what](student, teacher)
        return 1.0


def outcomes(
    proxies: tuple[Proxy, ...], together: int, teacher: str = "default", **drawn: Batch
) -> dict[str, list[Outcome]]:
    """The outcomes by the labels of the proxies, all of which read one pass of each cell."""
    batches = {(kind, 0): batch for kind, batch in drawn.items()}
    worker = Setup(with_teacher(DIGITS, teacher), proxies, (), None, "cpu", together=together, batches=batches)()
    tasks = [Pass(0, "default", cell, tuple(range(len(proxies)))) for cell in CELLS]
    found: dict[str, list[Outcome]] = {proxy.label: [] for proxy in proxies}
    for outcome in worker.score_all(tasks):
        found[proxies[outcome.proxy].label].append(outcome._replace(proxy=0))
    return found


@pytest.fixture(scope="module")
def alone() -> dict[int, dict[str, list[Outcome]]]:
    return {together: outcomes(OTHERS, together) for together in (1, 3)}


@pytest.mark.parametrize("what", WRITTEN)
@pytest.mark.parametrize("together", [1, 3])
def test_what_a_writer_does_harms_nobody_else(
    together: int, what: str, alone: dict[int, dict[str, list[Outcome]]]
) -> None:
    culprit = Writer(what=what)
    found = outcomes((*OTHERS[:2], culprit, *OTHERS[2:]), together)
    rows = found.pop(culprit.label)
    assert [(row.cell, row.status) for row in rows] == [(cell, "error") for cell in CELLS]
    for row in rows:
        assert row.reason.startswith("changed its input: ")
        assert what.partition(" (")[0] in row.reason.removeprefix("changed its input: ").split(", ")
    assert found == alone[together]


SET: dict[str, Callable[[], object]] = {
    "torch.get_default_dtype()": lambda: torch.set_default_dtype(torch.float64),
    "torch.get_default_device()": lambda: torch.set_default_device("meta"),
    "torch.get_num_threads()": lambda: torch.set_num_threads(2),
    "torch.is_grad_enabled()": lambda: torch.set_grad_enabled(False),
    "torch.is_autocast_enabled()": lambda: torch.set_autocast_enabled("cpu", True),
    "torch.get_float32_matmul_precision()": lambda: torch.set_float32_matmul_precision("medium"),
    "torch.are_deterministic_algorithms_enabled()": lambda: torch.use_deterministic_algorithms(True),
    "torch.backends.mkldnn.enabled": lambda: torch._C._set_mkldnn_enabled(False),
}


@dataclass(frozen=True)
class Setter(Writer):
    """Changes a setting of the process, and says that all is well."""

    name = "setter"

    def score(self, student: Probe, teacher: Probe) -> float:
        SET[self.what]()
        return 1.0


@pytest.mark.parametrize("what", SET)
@pytest.mark.parametrize("together", [1, 3])
def test_nor_does_who_changes_a_setting_of_the_process(
    together: int, what: str, alone: dict[int, dict[str, list[Outcome]]]
) -> None:
    before, culprit = settings(), Setter(what=what)
    found = outcomes((*OTHERS[:2], culprit, *OTHERS[2:]), together)
    assert {row.reason for row in found.pop(culprit.label)} == {f"changed {what}: put it back before it returns"}
    assert found == alone[together]
    assert settings() == before
    assert torch.as_tensor(torch.zeros(1, device="meta")).is_meta, "no mode is left that would bring it to the CPU"


@pytest.mark.parametrize("what", ["images", "labels"])
def test_nor_does_who_writes_into_what_the_runner_has_drawn(
    what: str, alone: dict[int, dict[str, list[Outcome]]]
) -> None:
    drawn, culprit = images.load("digits").batch(DIGITS.batch, 0), Writer(what=what)
    found = outcomes((*OTHERS[:2], culprit, *OTHERS[2:]), 1, batch=drawn)
    assert {row.reason for row in found.pop(culprit.label)} == {f"changed its input: {what}"}
    assert found == alone[1]
    again = images.load("digits").batch(DIGITS.batch, 0)
    assert torch.equal(drawn.images, again.images)
    assert torch.equal(drawn.labels, again.labels)


OWN = """
import torch
from torch import nn

def teacher():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))
"""


@pytest.mark.parametrize("what", ["teacher.pooled", "teacher.weights"])
@pytest.mark.parametrize("kind", ["own", "trained", "resnet20"])
def test_a_teacher_of_any_kind_is_as_it_was_for_the_next(what: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    name = f"{tmp_path / 'own.py'}:teacher" if kind == "own" else kind
    culprit, kd = Writer(what=what), create("kd")
    found = outcomes((culprit, kd), 3, name)
    assert found[kd.label] == outcomes((kd,), 3, name)[kd.label]
    assert {row.reason for row in found[culprit.label]} == {f"changed its input: {what}"}


@dataclass(frozen=True)
class NowAndThen(Writer):
    """Writes for one cell only."""

    name: ClassVar[str] = "now_and_then"

    def score(self, student: Probe, teacher: Probe) -> float:
        if student.cell.index == CELLS[1]:  # type: ignore[attr-defined]
            student.logits.zero_()
        return student.logits.sum().item()


@pytest.mark.parametrize("together", [1, 3])
def test_where_it_does_not_write_it_has_its_score(together: int) -> None:
    rows = outcomes((NowAndThen(), *OTHERS), together)["now_and_then"]
    assert [row.status for row in rows] == ["ok", "error", "ok"]
    assert rows[0] == outcomes((NowAndThen(),), together)["now_and_then"][0]


@dataclass(frozen=True)
class WritesItsOwn(Writer):
    """Writes into what is made anew for everyone, and into copies."""

    name: ClassVar[str] = "writes_its_own"
    needs = ("forward", "relu_kernel", "weights")

    def score(self, student: Probe, teacher: Probe) -> float:
        student.network(student.images)  # counts batches in its buffers
        return student.relu_kernel.add_(1).sum().item() + student.logits.clone().zero_().sum().item()


@pytest.mark.parametrize("together", [1, 3])
def test_copies_may_be_written_into(together: int) -> None:
    assert {row.status for row in outcomes((WritesItsOwn(), *OTHERS), together)["writes_its_own"]} == {"ok"}


def test_a_watched_probe_is_a_probe_to_whoever_asks() -> None:
    worker = Setup(DIGITS, OTHERS, (), None, "cpu")()
    probe = worker.observe(Pass(0, "default", CELLS[0], (0, 1, 2)))
    watched = Watched(probe)
    assert isinstance(watched, Probe)
    assert watched.once("key", lambda own: own.logits.sum()) is probe.once("key", lambda _: torch.zeros(()))
    assert not watched.written()
    watched.once("key", lambda _: torch.zeros(())).add_(1)
    assert watched.written() == "('once', 'key')"
