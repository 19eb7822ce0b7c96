"""Counting multiply-adds: the other baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxies.base import Proxy
from proxies.params import NAS_BENCH_201

if TYPE_CHECKING:
    from probe.network import Probe


@dataclass(frozen=True)
class Flops(Proxy):
    """Multiply-adds of all convolutions and the classifier for one image, those of dead operations too.

    Those of frozen layers as those of others, as in `params`.
    """

    name = "flops"
    family = "counts"
    needs = ()
    sees = "cell"
    reference = NAS_BENCH_201

    def score(self, student: Probe, teacher: Probe) -> float:
        return float(student.skeleton.count_multiply_adds(student.cell))
