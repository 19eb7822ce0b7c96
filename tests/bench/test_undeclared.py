"""A proxy reads what it has declared, whatever others of the same pass declare; all that is handed out has a need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from bench.benchmarks import benchmark
from bench.plan import Pass, visiting_order
from bench.worker import Setup
from probe.needs import NEEDS, READS
from probe.network import Probe
from probe.watched import Watched
from proxies.base import Proxy, Reference
from proxies.registry import create
from proxies.testing import ORDINARY, make_batch, make_probe

DIGITS = replace(benchmark("digits"), batch=16)
OTHERS = tuple(map(create, ("kd", "snip", "near", "diswot", "az_expressivity")))
"""Together they declare all that is read here."""

READ: dict[str, tuple[Callable[[Any, Any], object], str]] = {
    "the teacher": (lambda student, teacher: teacher.loss, "the proxy reads the teacher: add 'teacher' to its `needs`"),
    "gradients": (lambda student, teacher: student.gradients, "what takes 'gradients': add it to its `needs`"),
    "blocks": (lambda student, teacher: student.blocks, "what takes 'blocks': add it to its `needs`"),
    "a view": (lambda student, teacher: student.noise.logits, "what takes 'forward': add it to its `needs`"),
}


@dataclass(frozen=True)
class Peek(Proxy):
    """Reads more than it says."""

    name = "peek"
    family = "test"
    needs = ("forward",)
    sees = "function"
    reference = Reference(title="A test", year=2024, arxiv="", bibtex="")

    what: str = ""

    def score(self, student: Probe, teacher: Probe) -> float:
        if self.what:
            READ[self.what][0](student, teacher)
        return student.loss.item()


@pytest.mark.slow
@pytest.mark.parametrize("what", READ)
@pytest.mark.parametrize("together", [1, 2])
@pytest.mark.parametrize("first", [True, False])
def test_what_a_neighbour_declares_is_not_read(what: str, together: int, first: bool) -> None:
    culprit, honest = Peek(what=what), Peek()
    proxies = (culprit, honest, *OTHERS) if first else (*OTHERS, honest, culprit)
    worker = Setup(DIGITS, proxies, (), None, "cpu", together=together)()
    cells = visiting_order(DIGITS.space)[:2]
    found = worker.score_all([Pass(0, "default", cell, tuple(range(len(proxies)))) for cell in cells])
    for outcome in found:
        proxy = proxies[outcome.proxy]
        assert outcome.status == ("error" if proxy is culprit else "ok"), outcome
        if proxy is culprit:
            assert READ[what][1] in outcome.reason


def test_all_that_a_probe_hands_out_has_needs_that_are_asked_for() -> None:
    arguments = {"run": (make_batch(6).images,), "logit_jacobian": (1,), "sign_sums": ()}
    for name, needs in READS.items():
        assert set(needs) <= set(NEEDS)
        probe = make_probe(ORDINARY[0], make_batch(6), ())
        with pytest.raises(LookupError, match="`needs`"):
            getattr(probe, name)(*arguments.get(name, ()))
    kept = {"cell", "skeleton", "needs", "build", "load", "views", "kept", "image_shape", "once", "remark"}
    shown = {name for name in {*dir(Probe), *vars(make_probe(ORDINARY[0], make_batch(6), ()))} if name[0] != "_"}
    assert shown - READS.keys() - kept == {"second", "noise", "large", "small", "thin"}


@pytest.mark.slow
def test_who_reads_it_may_read_it_again_afterwards() -> None:
    watched = Watched(make_probe(ORDINARY[0], make_batch(6), ("forward", "gradients")))
    with watched.read_by(("forward",)), pytest.raises(LookupError, match="'gradients'"):
        assert watched.gradients
    assert watched.gradients
