"""Counting multiply-adds: the other baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from proxies.base import Proxy, Reference
from proxies.params import NAS_BENCH_201

if TYPE_CHECKING:
    from proxies.probe import Probe


@dataclass(frozen=True)
class Flops(Proxy):
    """Multiply-adds of all convolutions and the classifier for one image, those of dead operations too."""

    name: ClassVar[str] = "flops"
    family: ClassVar[str] = "counts"
    needs: ClassVar[tuple[str, ...]] = ()
    sees: ClassVar[str] = "cell"
    reference: ClassVar[Reference] = NAS_BENCH_201

    def score(self, student: Probe, teacher: Probe) -> float:
        return float(student.skeleton.count_multiply_adds(student.cell))
