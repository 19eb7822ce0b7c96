"""Every proxy of the tree keeps the contract, and every way to break it is noticed and named."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest
import torch

from probe.network import Probe
from proxies import registry
from proxies.base import NotApplicable, Proxy, Reference
from proxies.testing import check_proxy

REFERENCE = Reference(title="A test", year=2024, arxiv="", bibtex="")


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.known())
def test_every_registered_proxy_keeps_the_contract(name: str) -> None:
    check_proxy(registry.known()[name])


@pytest.fixture(autouse=True)
def _repair() -> Iterator[None]:
    """Undo what the offenders below do to the process."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    kept = torch.get_default_dtype(), torch.get_num_threads()
    yield
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])
    random.setstate(states[2])
    torch.set_default_dtype(kept[0])
    torch.set_num_threads(kept[1])
    torch.set_grad_enabled(True)


@dataclass(frozen=True)
class Sound(Proxy):
    """Keeps every promise; the offenders below differ from it in one."""

    name = "sound"
    family = "test"
    reference = REFERENCE
    needs = ("forward", "weights", "teacher")

    power: float = 1.0

    def score(self, student: Probe, teacher: Probe) -> float:
        return (student.logits - teacher.logits).abs().mean().item() ** self.power


@pytest.mark.slow
def test_a_sound_proxy_passes() -> None:
    check_proxy(Sound)


@dataclass(frozen=True)
class SometimesNotApplicable(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        if len(student.labels) < 2:
            raise NotApplicable("one image")
        if not student.features[-1].any():
            return math.nan
        return 1.0


@pytest.mark.slow
def test_not_applicable_and_nan_on_degenerate_networks_pass() -> None:
    check_proxy(SometimesNotApplicable)


# offenders: what a score does


@dataclass(frozen=True)
class ChangesWeights(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        with torch.no_grad():
            student.network.classifier.weight.abs_()  # type: ignore[union-attr, operator]
        return 1.0


@dataclass(frozen=True)
class ChangesWeightsItWasHanded(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        next(iter(student.weights.values())).mul_(2)
        return 1.0


@dataclass(frozen=True)
class ChangesTeacher(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        teacher.classifier_weight.zero_()
        return 1.0


@dataclass(frozen=True)
class ChangesStatistics(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        for module in student.network.modules():
            if isinstance(module, torch.nn.BatchNorm2d) and module.running_mean is not None:
                module.running_mean.add_(1)
        return 1.0


@dataclass(frozen=True)
class LeavesHook(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        student.network.register_forward_hook(lambda *_: None)
        return 1.0


@dataclass(frozen=True)
class LeavesHookInTeacher(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        teacher.network.register_forward_pre_hook(lambda *_: None)
        return 1.0


@dataclass(frozen=True)
class LeavesGradients(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        student.network(student.images).logits.sum().backward()
        return 1.0


@dataclass(frozen=True)
class LeavesEvaluationMode(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        student.network.eval()
        return 1.0


@dataclass(frozen=True)
class LeavesDoubles(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        student.network.double()
        return 1.0


@dataclass(frozen=True)
class FreezesParameters(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        student.network.requires_grad_(False)
        return 1.0


@dataclass(frozen=True)
class ReplacesModules(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        student.network.lastact = torch.nn.Identity()
        return 1.0


@dataclass(frozen=True)
class DrawsFromTorch(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        return float(torch.rand(1).item() > 2)


@dataclass(frozen=True)
class DrawsFromNumpy(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        return float(np.random.rand() > 2)


@dataclass(frozen=True)
class DrawsFromPython(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        return float(random.random() > 2)


@dataclass(frozen=True)
class Seeds(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        torch.manual_seed(0)
        return torch.rand(1).item()


@dataclass(frozen=True)
class TurnsGradientsOff(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        torch.set_grad_enabled(False)
        return 1.0


@dataclass(frozen=True)
class ChangesDefaultDtype(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        torch.set_default_dtype(torch.float64)
        return 1.0


@dataclass(frozen=True)
class ChangesThreads(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        torch.set_num_threads(torch.get_num_threads() + 1)
        return 1.0


@dataclass(frozen=True)
class ReturnsInt(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        return 3


@dataclass(frozen=True)
class ReturnsTensor(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        return student.logits.mean()  # type: ignore[return-value]


@dataclass(frozen=True)
class ReturnsNothing(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:  # type: ignore[return]
        student.logits.mean().item()


CALLS: list[int] = []


@dataclass(frozen=True)
class CountsItsCalls(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        CALLS.append(1)
        return float(len(CALLS))


@dataclass(frozen=True)
class ChangesWhatItReads(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        return student.logits.add_(1).sum().item()


@dataclass(frozen=True)
class IsNanOnOrdinaryCells(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        return math.nan


@dataclass(frozen=True)
class IsInfiniteOnOrdinaryCells(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        return -math.inf


@pytest.mark.slow
@pytest.mark.parametrize(
    ("offender", "message"),
    [
        (ChangesWeights, "changed the student's values"),
        (ChangesWeightsItWasHanded, "changed the student's values"),
        (ChangesTeacher, "changed the teacher's values"),
        (ChangesStatistics, "changed the student's values"),
        (LeavesHook, "changed the student's hooks"),
        (LeavesHookInTeacher, "changed the teacher's hooks"),
        (LeavesGradients, "changed the student's gradients"),
        (LeavesEvaluationMode, "changed the student's training mode"),
        (LeavesDoubles, "changed the student's dtypes"),
        (FreezesParameters, "changed the student's dtypes"),
        (ReplacesModules, "changed the student's"),
        (DrawsFromTorch, "changed the random state of torch"),
        (DrawsFromNumpy, "changed the random state of numpy"),
        (DrawsFromPython, "changed the random state of Python"),
        (Seeds, "changed the random state of torch"),
        (TurnsGradientsOff, "changed the gradient mode"),
        (ChangesDefaultDtype, "changed the default dtype"),
        (ChangesThreads, "changed the number of threads"),
        (ReturnsInt, "returned int instead of float"),
        (ReturnsTensor, "returned Tensor instead of float"),
        (ReturnsNothing, "returned NoneType instead of float"),
        (CountsItsCalls, "for the same cell"),
        (ChangesWhatItReads, "(the same probe gives|changed the student)"),
        (IsNanOnOrdinaryCells, "nan for the ordinary cell"),
        (IsInfiniteOnOrdinaryCells, "-inf for the ordinary cell"),
    ],
)
def test_a_score_that_breaks_a_promise_is_named(offender: type[Proxy], message: str) -> None:
    with pytest.raises(AssertionError, match=f"^sound.*{message}"):
        check_proxy(offender)


@dataclass(frozen=True)
class RectifiesTheTeachersRecord(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        return (student.logits - teacher.logits.relu_()).abs().mean().item()


@dataclass(frozen=True)
class ClampsTheStudentsRecord(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        return student.features[-1].clamp_(max=1).mean().item()


@dataclass(frozen=True)
class CentresTheInputGradients(Sound):
    needs = ("forward", "input_gradients")

    def score(self, student: Probe, teacher: Probe) -> float:
        return student.input_gradients.sub_(1).norm().item()


@dataclass(frozen=True)
class SquaresTheGateGradients(Sound):
    needs = ("forward", "gate_gradients")

    def score(self, student: Probe, teacher: Probe) -> float:
        return sum(gradient.square_().sum().item() for gradient in student.gate_gradients.values())


@dataclass(frozen=True)
class WeighsTheHessianGradient(Sound):
    needs = ("forward", "hessian_gradient")

    def score(self, student: Probe, teacher: Probe) -> float:
        products = student.hessian_gradient
        return sum(products[name].mul_(weight).sum().item() for name, weight in student.weights.items())


@dataclass(frozen=True)
class HooksTheBackwardPass(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        student.network.register_full_backward_pre_hook(lambda *_: None)
        return 1.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("offender", "message"),
    [
        (RectifiesTheTeachersRecord, "teacher's"),
        (ClampsTheStudentsRecord, "student's"),
        (CentresTheInputGradients, "student's input_gradients"),
        (SquaresTheGateGradients, "student's gate_gradients"),
        (WeighsTheHessianGradient, "student's hessian_gradient"),
        (HooksTheBackwardPass, "student's hooks"),
    ],
)
def test_a_change_that_only_other_proxies_would_feel_is_named(offender: type[Proxy], message: str) -> None:
    """Proxies of a run share the probes: an in-place step that gives this one the same value twice harms the next."""
    with pytest.raises(AssertionError, match=message):
        check_proxy(offender)


# offenders: needs


@dataclass(frozen=True)
class ForgetsToDeclareGradients(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        return student.gradients["classifier.weight"].norm().item()


@dataclass(frozen=True)
class ForgetsToDeclareTheTeacher(Sound):
    needs = ("forward",)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("offender", "need"), [(ForgetsToDeclareGradients, "gradients"), (ForgetsToDeclareTheTeacher, "forward")]
)
def test_an_undeclared_need_raises_lookup_error(offender: type[Proxy], need: str) -> None:
    with pytest.raises(LookupError, match=f"'{need}': add it to its `needs`"):
        check_proxy(offender)


# offenders: facts


class NotDecorated(Sound):
    def score(self, student: Probe, teacher: Probe) -> float:
        return 1.0


@dataclass(frozen=True)
class NameWithDash(Sound):
    name = "not-a-name"


@dataclass(frozen=True)
class NameInCapitals(Sound):
    name = "NWOT"


@dataclass(frozen=True)
class NoName(Proxy):
    family = "test"
    reference = REFERENCE
    needs = ()

    def score(self, student: Probe, teacher: Probe) -> float:
        return 1.0


@dataclass(frozen=True)
class NoFamily(Proxy):
    name = "no_family"
    reference = REFERENCE
    needs = ()

    def score(self, student: Probe, teacher: Probe) -> float:
        return 1.0


@dataclass(frozen=True)
class ReferenceInWords(Sound):
    reference = "Somebody, 2024"  # type: ignore[assignment]


@dataclass(frozen=True)
class VersionInWords(Sound):
    version = "1.0"  # type: ignore[assignment]


@dataclass(frozen=True)
class VersionZero(Sound):
    version = 0


@dataclass(frozen=True)
class NeedsAList(Sound):
    needs: ClassVar[list[str]] = ["forward"]  # type: ignore[misc]


@dataclass(frozen=True)
class NeedsTheUnknown(Sound):
    needs = ("forwards",)


@dataclass(frozen=True)
class SeesTheUnknown(Sound):
    sees = "network"


@dataclass(frozen=True)
class InitUnknown(Sound):
    init: str = "xavier"


@dataclass(frozen=True)
class DefaultMissing(Sound):
    sizes: tuple[int, ...] = field(default_factory=tuple)


@dataclass(frozen=True)
class DefaultNotPlain(Sound):
    sizes: tuple[int, ...] = (1, 2)


@pytest.mark.parametrize(
    ("offender", "message"),
    [
        (NotDecorated, r"decorate the class with @dataclass\(frozen=True\)"),
        (NameWithDash, "name 'not-a-name': lower-case"),
        (NameInCapitals, "name 'NWOT': lower-case"),
        (NoName, "NoName: it has no class attribute 'name'"),
        (NoFamily, "NoFamily: it has no class attribute 'family'"),
        (ReferenceInWords, "reference = 'Somebody, 2024' is no Reference"),
        (VersionInWords, "version = '1.0' is no whole number"),
        (VersionZero, "versions count from 1"),
        (NeedsAList, r"needs = \['forward'\] is a list: write it as a tuple"),
        (NeedsTheUnknown, "needs names 'forwards': did you mean 'forward'"),
        (SeesTheUnknown, "sees = 'network' is none of function, relus, executed, parameters, cell"),
        (InitUnknown, "init = 'xavier' is none of default, kaiming, gaussian"),
        (DefaultMissing, "field sizes needs a plain default"),
        (DefaultNotPlain, "field sizes needs a plain default"),
    ],
)
def test_a_missing_or_wrong_fact_is_named(offender: type[Proxy], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_proxy(offender)


def test_a_proxy_that_is_not_frozen_cannot_even_be_defined() -> None:
    with pytest.raises(TypeError, match="non-frozen"):

        @dataclass
        class Thawed(Sound):
            pass
