"""The distillation loss at initialisation as a proxy (DisWOT's table of KD-based proxies, CVPR 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import BadUsage
from proxies.base import NotApplicable, Proxy, Reference

if TYPE_CHECKING:
    from probe.network import Probe


@dataclass(frozen=True)
class KD(Proxy):
    """-T^2 mean KL(softmax(teacher / T) || softmax(student / T)) of the logits: `distill.losses.kd`, negated."""

    name = "kd"
    family = "distillation"
    needs = ("forward", "teacher")
    reference = Reference(
        title="Distilling the Knowledge in a Neural Network",
        year=2015,
        arxiv="1503.02531",
        bibtex="hinton2015distilling",
        reported="Spearman .5443 in DisWOT's table of KD-based proxies",
    )

    temperature: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.temperature < math.inf:
            raise BadUsage(f"kd: the temperature must be positive and finite, not {self.temperature}")

    def score(self, student: Probe, teacher: Probe) -> float:
        from distill.losses import kd

        same_classes(self.name, student, teacher)
        return -kd(teacher.logits, student.logits, self.temperature).item()


def same_classes(name: str, student: Probe, teacher: Probe) -> None:
    """Raise NotApplicable where teacher and student tell different numbers of classes apart."""
    classes = teacher.logits.shape[1], student.logits.shape[1]
    if classes[0] != classes[1]:
        raise NotApplicable(f"{name} compares classes: the teacher has {classes[0]}, the student {classes[1]}")
