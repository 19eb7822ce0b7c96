"""Named settings: data set, skeleton, teacher and batch."""

from __future__ import annotations

from dataclasses import dataclass

from common.errors import unknown
from distill.recipes import ALL_3X3, recipe
from spaces.skeleton import Skeleton

BACKBONES = ("own", "xautodl")

_BEST_ON_CIFAR100 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
"""Cell 9930, the one with the highest published CIFAR-100 accuracy: the teacher that DisWOT's authors use."""


@dataclass(frozen=True)
class TeacherSetting:
    """The fixed, randomly initialised teacher of the scores: a NAS-Bench-201 network as wide as the students.

    As wide, because DisWOT's semantic term compares channels (docs/teachers.md).
    """

    cell: str
    skeleton: Skeleton


@dataclass(frozen=True)
class Benchmark:
    """Everything that scores of one name have in common. Networks are `backbone`s of the nb201 space."""

    name: str
    skeleton: Skeleton
    teacher: TeacherSetting
    batch: int = 64
    backbone: str = "own"


def _paper_size(name: str, classes: int, size: int) -> Benchmark:
    skeleton = Skeleton(channels=16, cells_per_stage=5, classes=classes, size=size)
    return Benchmark(name, skeleton, TeacherSetting(_BEST_ON_CIFAR100, skeleton))


_DIGITS = recipe("digits").skeleton

_BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark("digits", _DIGITS, TeacherSetting(ALL_3X3, Skeleton(_DIGITS.channels, 3, 10, _DIGITS.size))),
        _paper_size("cifar10", 10, 32),
        _paper_size("cifar100", 100, 32),
        _paper_size("imagenet16-120", 120, 16),
    )
}


def names() -> list[str]:
    """The known benchmarks."""
    return list(_BENCHMARKS)


def benchmark(name: str) -> Benchmark:
    """The benchmark of a name. Raises BadUsage, with the nearest name, where there is none."""
    if name not in _BENCHMARKS:
        raise unknown("benchmark", name, _BENCHMARKS)
    return _BENCHMARKS[name]
