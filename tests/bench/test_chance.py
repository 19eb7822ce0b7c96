"""A score that is a matter of chance is no score, and those beside it are what they are without it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Command
from torch import nn

from bench.benchmarks import Benchmark, benchmark
from bench.plan import Pass, visiting_order
from bench.worker import Outcome, Setup
from probe.network import Probe
from proxies.base import Proxy, Reference
from proxies.registry import create
from spaces.nb201.network import CellNetwork
from spaces.nb201.space import CellSpace
from spaces.output import Output
from spaces.space import Build

pytestmark = pytest.mark.slow

DIGITS = replace(benchmark("digits"), batch=16)
CELLS = visiting_order(DIGITS.space)[:12]
OTHERS = tuple(map(create, ("params", "nwot", "kd")))


def drawn_once(student: Probe) -> float:
    return student.once("drawn", lambda _: torch.rand(()).item())


def seeded(student: Probe) -> float:
    own = torch.Generator().manual_seed(1), np.random.default_rng(1), random.Random(1)
    return torch.rand((), generator=own[0]).item() + own[1].random() + own[2].random()


def forked(student: Probe) -> float:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return torch.rand(()).item()


def late(student: Probe) -> float:
    return torch.rand(()).item() if student.cell.index == CELLS[9] else 1.0  # type: ignore[attr-defined]


DRAWN: dict[str, Callable[[Probe], float]] = {
    "torch": lambda _: torch.rand(()).item(),
    "numpy": lambda _: np.random.rand(),
    "Python": lambda _: random.random(),
    "reseeded": lambda _: torch.rand((), generator=torch.manual_seed(0)).item(),
    "fresh": lambda _: np.random.default_rng().random(),
    "once": drawn_once,
    "seeded": seeded,
    "forked": forked,
    "late": late,
}
WHY = {
    "torch": "drew from the global random numbers of torch: let it draw from a generator of its own",
    "numpy": "drew from the global random numbers of numpy: ",
    "Python": "drew from the global random numbers of Python: ",
    "fresh": "gave another score when asked for the same network again: let it draw from a generator of its own",
    "once": "gave another score when asked for the same cell again: what it reads draws from the global random numbers "
    "of torch",
}


@dataclass(frozen=True)
class Drawer(Proxy):
    """Draws, and says that all is well."""

    name = "drawer"
    family = "test"
    needs = ("forward",)
    reference = Reference(title="A test", year=2024, arxiv="", bibtex="")

    how: str = "torch"

    def score(self, student: Probe, teacher: Probe) -> float:
        return DRAWN[self.how](student)


@pytest.fixture(autouse=True)
def _repair() -> Iterator[None]:
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    yield
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])
    random.setstate(states[2])


def outcomes(proxies: tuple[Proxy, ...], together: int, setting: Benchmark = DIGITS) -> dict[str, list[Outcome]]:
    """The outcomes by the labels of the proxies, all of which read one pass of each cell."""
    worker = Setup(setting, proxies, (), None, "cpu", together=together)()
    found: dict[str, list[Outcome]] = {proxy.label: [] for proxy in proxies}
    for outcome in worker.score_all([Pass(0, "default", cell, tuple(range(len(proxies)))) for cell in CELLS]):
        found[proxies[outcome.proxy].label].append(outcome._replace(proxy=0))
    return found


@pytest.fixture(scope="module")
def alone() -> dict[int, dict[str, list[Outcome]]]:
    return {together: outcomes(OTHERS, together) for together in (1, 4)}


@pytest.mark.parametrize("how", WHY)
@pytest.mark.parametrize("together", [1, 4])
def test_who_draws_has_no_score_and_the_others_have_theirs(
    together: int, how: str, alone: dict[int, dict[str, list[Outcome]]]
) -> None:
    culprit = Drawer(how=how)
    found = outcomes((*OTHERS[:1], culprit, *OTHERS[1:]), together)
    rows = found.pop(culprit.label)
    assert [(row.cell, row.status) for row in rows] == [(cell, "error") for cell in CELLS]
    assert all(row.reason.startswith(WHY[how]) for row in rows), rows[0].reason
    assert found == alone[together]


def test_each_of_several_culprits_is_looked_at_whoever_was_before() -> None:
    culprits = tuple(Drawer(how=how) for how in ("fresh", "torch", "numpy", "Python"))
    found = outcomes((*culprits, *OTHERS), 1)
    assert {row.status for one in culprits for row in found[one.label]} == {"error"}
    worker = Setup(DIGITS, (*OTHERS, culprits[0]), (), None, "cpu")()
    for number in range(len(OTHERS)):  # passes of one proxy, as after a worker that died
        assert {row.status for cell in CELLS[:3] for row in worker.score(Pass(0, "default", cell, (number,)))} == {"ok"}
    (row,) = worker.score(Pass(0, "default", CELLS[0], (len(OTHERS),)))
    assert row.status == "error"


@pytest.mark.parametrize("how", ["seeded", "forked", "reseeded"])
def test_what_is_seeded_is_no_chance(how: str) -> None:
    rows = outcomes((Drawer(how=how), *OTHERS), 4)[Drawer(how=how).label]
    assert {row.status for row in rows} == {"ok"}


@pytest.mark.parametrize("together", [1, 4])
def test_who_draws_late_is_noticed_when_nobody_looks_closely(together: int) -> None:
    rows = outcomes((*OTHERS, Drawer(how="late")), together)["drawer:how=late"]
    assert [row.cell for row in rows if row.status != "ok"] == [CELLS[9]]


class Dropped(CellNetwork):
    """A network that drops features."""

    def forward(self, images: torch.Tensor) -> Output:
        found = super().forward(images)
        return found._replace(logits=nn.functional.dropout(found.logits, 0.5))


class Overwritten(CellNetwork):
    """A network in the making of which weights are drawn that it has not got."""

    def __init__(self, *given: object) -> None:
        nn.Linear(2, 2)
        super().__init__(*given)  # type: ignore[arg-type]


class Own(CellSpace):
    """The space, of other networks."""

    batched = False

    def __init__(self, network: Build) -> None:
        self.network = network

    def builder(self, backbone: str) -> Build:
        return self.network


def test_networks_that_drop_features_at_random_have_no_scores() -> None:
    found = outcomes((create("params"), create("plain"), create("kd")), 1, replace(DIGITS, space=Own(Dropped)))
    assert {row.status for row in found["params"]} == {"ok"}
    rows = [row for label in ("plain", "kd") for row in found[label]]
    assert {row.score for row in rows if row.status == "ok"} <= {0.0}, "no gradient, whatever is dropped"
    assert {row.reason for row in rows if row.status != "ok"} == {
        "gave another score when asked for the same cell again: what it reads draws from the global random numbers of "
        "torch, as dropout in a network does"
    }


def test_weights_that_are_drawn_and_replaced_change_nothing() -> None:
    found = outcomes(OTHERS, 1, replace(DIGITS, space=Own(Overwritten)))
    assert found == outcomes(OTHERS, 1, replace(DIGITS, space=Own(CellNetwork)))
    assert {row.status for row in found["kd"]} == {"ok"}


RETURNED = {
    "True": "the bool True",
    "'3.0'": "the str '3.0'",
    "None": " None",
    "1j": "the complex 1j",
    "[1.0]": "the list [1.0]",
    "torch.zeros(3)": "the Tensor of shape [3]",
    "torch.tensor(True)": "the Tensor of shape []",
    "np.zeros((2, 1))": "the ndarray of shape [2, 1]",
    "np.bool_(True)": "the bool of shape []",
    "3": "",
    "torch.tensor(3)": "",
    "torch.full((1,), 3.0, requires_grad=True)": "",
    "np.float32(3)": "",
    "np.int64(3)": "",
}
FILE = """
from dataclasses import dataclass
import numpy as np
import torch
from proxies.base import Proxy, Reference

@dataclass(frozen=True)
class Mine(Proxy):
    name = "mine"
    family = "test"
    needs = ()
    reference = Reference("A title", 2024, "", "")
    def score(self, student, teacher):
        return RETURNED
"""


@pytest.mark.parametrize("returned", RETURNED)
def test_a_score_is_one_number(returned: str, tmp_path: Path, command: Command) -> None:
    (tmp_path / "mine.py").write_text(FILE.replace("RETURNED", returned))
    ended = command("bench", "run", "mine", "--module", "mine.py", "--limit", 1, "--workers", 1, "--store", "s.sqlite")
    wrong = RETURNED[returned]
    assert ended.code == (3 if wrong else 0), ended.err
    if wrong:
        assert "error: TypeError: score() returned " in ended.err
        assert f"{wrong}: return one number, a float (mine.py:13) (`" in ended.err
