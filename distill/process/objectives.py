"""An `Objective` is what a student minimises beside a teacher; one training compares several objectives by name.

A name is a key of `OBJECTIVES`, or a variant (`VARIANTS`) of a learned process: `replay` follows the process of the
pair itself, `replay@NAME` that of another pair. Connectors and transforms are learned beside the student. They belong
to the objective and are thrown away after training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from common.errors import BadUsage, unknown
from distill.losses import LOSSES, Loss, kd
from distill.process import diswot_plus
from distill.process.connectors import connectors, projection
from distill.process.pathways import Pathways, parse
from distill.process.process import VARIANTS, Process
from distill.process.stages import Seen, Tapped

TEMPERATURE = 4.0


class Objective(nn.Module):
    """r CE + a KD + `rest`, KD at temperature 4; r = 1 and a = 0 unless said otherwise."""

    r, a = 1.0, 0.0

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, teacher: Seen, student: Seen, labels: torch.Tensor, passed: float) -> torch.Tensor:
        """The loss of a batch, a scalar. `passed` is the share of all steps that was taken before."""
        student = student.full()
        total = self.r * F.cross_entropy(student.logits, labels)
        if self.a:
            total = total + self.a * kd(teacher.logits, student.logits, TEMPERATURE)
        rest = self.rest(teacher, student, labels, passed)
        return total if rest is None else total + rest

    def rest(self, teacher: Seen, student: Seen, labels: torch.Tensor, passed: float) -> torch.Tensor | None:
        """The further term that is minimised, a scalar; None where there is none."""
        return None


class WithLoss(Objective):
    """r CE + a KD + b X: a loss as it was published, its connector beside it (distill/losses.py)."""

    def __init__(self, loss: Loss, teacher: Seen, student: Seen, generator: torch.Generator) -> None:
        super().__init__(loss.name)
        self.loss, self.r, self.a = loss, loss.r, loss.a
        shapes_t, shapes_s = ([maps.shape for maps in seen.features] for seen in (teacher, student))
        self.connector = connectors(loss.name, shapes_t, shapes_s, generator)

    def rest(self, teacher: Seen, student: Seen, labels: torch.Tensor, passed: float) -> torch.Tensor | None:
        if not self.loss.b:
            return None
        return self.loss.b * self.loss(teacher, student, labels, self.connector)


class DisWOTPlus(Objective):
    """.1 CE + .9 KD + M_s + M_r as printed (diswot_plus.py); .1 and .9 are of DisWOT's code, M's have none."""

    r, a = 0.1, 0.9

    def __init__(self, teacher: Seen, student: Seen, generator: torch.Generator) -> None:
        super().__init__("diswot+")
        widths = teacher.pooled.shape[1], student.pooled.shape[1]
        self.terms = diswot_plus.Terms(
            teacher, student, None if widths[0] == widths[1] else projection(*widths, generator)
        )

    def rest(self, teacher: Seen, student: Seen, labels: torch.Tensor, passed: float) -> torch.Tensor:
        terms: torch.Tensor = self.terms(teacher, student, labels)
        return terms.sum()


class SmoothDisWOTPlus(Objective):
    """.1 CE + .9 KD + 1 `semantic` + 3000 `relation` of distill/losses.py: M_s as a loss that is smooth, M_r, which is
    the loss SP, with SP's published weight. Ours.
    """

    r, a = 0.1, 0.9

    def __init__(self, teacher: Seen, student: Seen, generator: torch.Generator) -> None:
        super().__init__("diswot+smooth")
        self.losses = [LOSSES["semantic"], LOSSES["relation"]]
        self.weights = [LOSSES["semantic"].b, LOSSES["sp"].b]
        shapes_t, shapes_s = ([maps.shape for maps in seen.features] for seen in (teacher, student))
        self.connector = connectors("semantic", shapes_t, shapes_s, generator)

    def rest(self, teacher: Seen, student: Seen, labels: torch.Tensor, passed: float) -> torch.Tensor:
        semantic, relation = self.losses
        first = self.weights[0] * semantic(teacher, student, labels, self.connector)
        return first + self.weights[1] * relation(teacher, student)


class Processed(Objective):
    """CE + sum_i w_i(u) d_i: the pathways of a process, weighted as it says; no KD term, as DistPro is published."""

    def __init__(self, name: str, process: Process, teacher: Seen, student: Seen, generator: torch.Generator) -> None:
        super().__init__(name)
        self.process = process
        self.pathways = Pathways([parse(path) for path in process.pathways], teacher, student, generator)

    def rest(self, teacher: Seen, student: Seen, labels: torch.Tensor, passed: float) -> torch.Tensor:
        distances: torch.Tensor = self.pathways(teacher, student)
        return distances.new_tensor(self.process.at(passed)) @ distances


Maker = Callable[[Seen, Seen, torch.Generator], Objective]


def _with(loss: Loss) -> Maker:
    return lambda teacher, student, generator: WithLoss(loss, teacher, student, generator)


OBJECTIVES: dict[str, Maker] = {
    "vanilla": lambda teacher, student, generator: Objective("vanilla"),
    **{name: _with(loss) for name, loss in LOSSES.items()},
    "diswot+": DisWOTPlus,
    "diswot+smooth": SmoothDisWOTPlus,
}
"""OBJECTIVES maps a name to the function that makes the objective. The function takes what the teacher and the student
show of one batch (`Seen`), of which it uses only the shapes, and a generator that draws the initial connectors."""


Processes = Mapping[str, Process]
"""Processes by the word behind the @ of a variant; the empty word is the process of variants that have no @."""
NONE: Processes = {}


def objective(
    name: str, teacher: Seen, student: Seen, seed: int, processes: Processes = NONE, device: str = "cpu"
) -> Objective:
    """The objective of a name; what it learns is drawn by (seed, name), a variant's transforms by the seed alone.

    Raises BadUsage for an unknown name.
    """
    check(name, processes)
    variant, _, of = name.partition("@")
    # all variants, of equal pathways of any process, start from the same transforms: they differ in the weights
    drawn_as = "process" if variant in VARIANTS else name
    key = hashlib.blake2b(f"objective/{drawn_as}/{seed}".encode(), digest_size=8)
    generator = torch.Generator().manual_seed(int.from_bytes(key.digest(), "little", signed=True))
    made: Objective
    if variant in VARIANTS:
        made = Processed(name, processes[of].variant(variant, seed), teacher, student, generator)
    else:
        made = OBJECTIVES[name](teacher, student, generator)
    return made.to(device)


def check(name: str, processes: Processes) -> None:
    """Raises BadUsage for an unknown name and for a variant without its process."""
    variant, _, of = name.partition("@")
    if variant not in VARIANTS and name not in OBJECTIVES:
        raise unknown("objective", name, [*OBJECTIVES, *VARIANTS])
    if variant in VARIANTS and of not in processes:
        raise BadUsage(f"'{name}' is a variant of a process: name its file{f', {of}.json,' * bool(of)} with --process")


def describe(name: str, processes: Processes) -> dict[str, Any]:
    """What is minimised, as it stands in the table's JSON."""
    check(name, processes)
    variant, _, of = name.partition("@")
    if variant in VARIANTS:
        return {"loss": f"CE + sum of weighted pathways, {variant}", "process": processes[of].hash}
    if name in LOSSES:
        loss = LOSSES[name]
        return {
            "loss": f"r CE + a KD + b {name}",
            "r": loss.r,
            "a": loss.a,
            "b": loss.b,
            "weights_from": loss.weights_from,
        }
    return {"loss": _IN_WORDS[name]}


_IN_WORDS = {
    "vanilla": "CE",
    "diswot+": ".1 CE + .9 KD + M_s + M_r, as printed",
    "diswot+smooth": ".1 CE + .9 KD + semantic + 3000 relation",
}


class Student(nn.Module):
    """A `Student` holds a student's network and its objective, so that optimiser and checkpoints see one network."""

    def __init__(self, network: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.tapped = Tapped(network)
        self.objective = objective

    def forward(self, images: torch.Tensor) -> Seen:
        """What the hooks have seen of the student (`Seen`)."""
        seen: Seen = self.tapped(images)
        return seen
