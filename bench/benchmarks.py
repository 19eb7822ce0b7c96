"""Named settings: space, data set, skeleton, teacher and batch; and other teachers in place of a benchmark's own."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from bench.teachers import BlindTeacher, CellTeacher, OwnTeacher, ResNetTeacher, Teacher, TrainedTeacher
from common import modules
from common.errors import BadInput, BadUsage, unknown
from distill.recipe_name import is_own
from distill.recipes import ALL_3X3, recipe
from images.base import DataSet
from images.registry import load
from spaces.nats_sizes.space import SIZES, SizeSkeleton
from spaces.nb201.cell import Cell, cell_at, cells, resolve
from spaces.nb201.skeleton import CellSkeleton
from spaces.nb201.space import NB201
from spaces.resnet.names import RESNETS
from spaces.resnet.space import RESNET, ResNetSkeleton
from spaces.space import Skeleton, Space

BACKBONES = ("own", "xautodl")

_BEST_ON_CIFAR100 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
"""Cell 9930, the one with the highest published CIFAR-100 accuracy: the teacher that DisWOT's authors use."""
NAMED_CELLS = {"best": 9930, "median": 7315}
"""By published CIFAR-100 test accuracy: the first of 15,625, and the 7,813th, which alone has exactly their median."""
TEACHERS = ("default", *NAMED_CELLS, *RESNETS, "trained", "noise")
"""The names of teachers; `random:SEED`, a cell's index and its official string are names too."""


@dataclass(frozen=True)
class Benchmark:
    """Everything that scores of one name have in common. Networks are `backbone`s of the space."""

    name: str
    skeleton: Skeleton
    teacher: Teacher
    space: Space
    batch: int = 64
    backbone: str = "own"
    images: str = ""
    """Data set, if it is not that of the benchmark's name."""

    def __post_init__(self) -> None:
        _check_name(self.name)
        missing = [name for name in ("channels", "classes", "size") if not hasattr(self.skeleton, name)]
        if missing:
            raise BadUsage(f"the benchmark '{self.name}' has a skeleton without '{missing[0]}', a whole number")
        sizes = {name: getattr(self.skeleton, name) for name in ("channels", "classes", "size")}
        for name, size in (sizes | {"batch": self.batch}).items():
            if not isinstance(size, int) or isinstance(size, bool) or size < 1:
                raise BadUsage(
                    f"the benchmark '{self.name}' has {name} {size!r}: wanted is a whole number of 1 or more"
                )
        for name, kind in (("teacher", Teacher), ("space", Space)):
            if not isinstance(found := getattr(self, name), kind):
                held = type(found).__name__
                raise BadUsage(f"the benchmark '{self.name}' has a {held} as its {name}: wanted is a {kind.__name__}")

    @property
    def data_set(self) -> str:
        """Name of the data set."""
        return self.images or self.name


def _check_name(name: str) -> None:
    """Raises BadUsage for a name that no file or folder can have."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name, re.ASCII):
        raise BadUsage(f"a benchmark cannot be called '{name}': use letters, digits, -, _ and .")


def _paper_size(name: str, classes: int, size: int) -> Benchmark:
    skeleton = CellSkeleton(channels=16, cells_per_stage=5, classes=classes, size=size)
    return Benchmark(name, skeleton, CellTeacher(_BEST_ON_CIFAR100, skeleton), NB201)


def of_images(
    name: str, data_set: str | DataSet, *, channels: int = 16, cells_per_stage: int = 5, batch: int = 64
) -> Benchmark:
    """A benchmark of cells on images of one's own: a data set, or its name for `images.load`, as `folder:~/birds`.

    Networks have its number of classes and its size of images, and are else those of NAS-Bench-201, with the teacher
    that has the same size. Raises BadUsage for a name that no file can have, BadInput for images whose side is no
    multiple of 4, and what loading the data set raises.
    """
    _check_name(name)
    found, called = (load(data_set), data_set) if isinstance(data_set, str) else (data_set, data_set.name)
    if found.size % 4:
        raise BadInput(
            f"images of {called} are {found.size} pixels wide: networks of NAS-Bench-201 halve their maps twice, so "
            f"crop or resize them to a multiple of 4, {found.size - found.size % 4 or 4} say"
        )
    if not isinstance(cells_per_stage, int) or cells_per_stage < 1:
        raise BadUsage(f"the benchmark '{name}' has cells_per_stage {cells_per_stage!r}: wanted is 1 or more")
    skeleton = CellSkeleton(channels, cells_per_stage, found.classes, found.size)
    return Benchmark(name, skeleton, CellTeacher(_BEST_ON_CIFAR100, skeleton), NB201, batch=batch, images=called)


def _small(name: str) -> Benchmark:
    """A benchmark of small networks, those of its labels; the teacher of its scores is as wide and thrice as deep."""
    skeleton = recipe(name).skeleton
    return Benchmark(name, skeleton, CellTeacher(ALL_3X3, replace(skeleton, cells_per_stage=3)), NB201)


def _sizes(images: str, classes: int, size: int, teacher_depth: int) -> Benchmark:
    """NATS-Bench's size space; the teacher is as wide as the widest students."""
    teacher = ResNetTeacher(teacher_depth, 16, (16, 32, 64), classes)
    return Benchmark(f"nats-sizes-{images}", SizeSkeleton(8, classes, size), teacher, SIZES, images=images)


_CIFAR = (
    _small("cifar10-16px"),
    _small("cifar100-16px"),
    _paper_size("cifar10", 10, 32),
    _paper_size("cifar100", 100, 32),
)
_BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        _small("digits"),
        *_CIFAR,
        _paper_size("imagenet16-120", 120, 16),
        Benchmark(
            "resnet-cifar100",
            ResNetSkeleton(channels=16, classes=100, size=32),
            ResNetTeacher(110, 16, (16, 32, 64), 100),  # as DisWOT's scripts for these networks have it
            space=RESNET,
            images="cifar100",
        ),
        _sizes("digits", 10, 16, teacher_depth=20),
        _sizes("cifar10", 10, 32, teacher_depth=110),
        _sizes("cifar100", 100, 32, teacher_depth=110),
        *(replace(whole, name=f"{whole.name}-subset") for whole in _CIFAR),
    )
}


def benchmarks_in(module: ModuleType) -> list[tuple[str, Benchmark]]:
    """The benchmarks that a module holds, such as `MINE = Benchmark("mine", ...)`, and their names."""
    return [(value.name, value) for value in vars(module).values() if isinstance(value, Benchmark)]


def _known() -> dict[str, Benchmark]:
    """Those here, of installed packages (entry points `diswot_bench.benchmarks`), and of the user's files."""
    return modules.named("benchmark", _BENCHMARKS, modules.of_users("diswot_bench.benchmarks"), benchmarks_in)


def names() -> list[str]:
    """The known benchmarks. Raises BadInput where a name stands for two."""
    return list(_known())


def benchmark(name: str) -> Benchmark:
    """The benchmark of a name. Raises BadUsage, with the nearest name, where there is none."""
    known = _known()
    if name not in known:
        raise unknown("benchmark", name, known, "one of a --module FILE")
    return known[name]


def with_backbone(setting: Benchmark, name: str) -> Benchmark:
    """The benchmark with networks made in another way. Raises BadUsage where its space's are not made so."""
    if name not in BACKBONES:
        raise unknown("backbone", name, BACKBONES)
    if name not in setting.space.backbones:
        raise BadUsage(f"--backbone {name}: it has no networks of the space '{setting.space.name}' ({setting.name})")
    return replace(setting, backbone=name)


def with_teacher(setting: Benchmark, name: str) -> Benchmark:
    """The benchmark with another teacher in place of its own, which is `default`.

    A cell, `best`, `median`, `random:SEED`, an index or a string, replaces the cell of the benchmark's own teacher and
    keeps its skeleton. A ResNet is as wide as the widest students, C, 2 C, 4 C channels: at paper size that of CIFAR.
    `trained` is the teacher of the benchmark's labels, `noise` the benchmark's own that is shown noise in place of the
    batch, `FILE.py:FUNCTION` one of one's own. Raises BadUsage for another name, and for a cell where the benchmark's
    own teacher is none; BadInput as `load_teacher` and `own_network`.
    """
    if name == "default":
        return setting
    teacher = _other_teacher(setting, name)
    return replace(setting, teacher=teacher.called(teacher_name(setting.name, teacher.record())))


def _other_teacher(setting: Benchmark, name: str) -> Teacher:
    C = setting.skeleton.width // 4
    if name in RESNETS:
        return ResNetTeacher(RESNETS[name], C, (C, 2 * C, 4 * C), setting.skeleton.classes)
    if name == "noise":
        return BlindTeacher(setting.teacher)
    if re.fullmatch(r"trained(-[0-9a-f]{8})?", name):
        return _trained(name, setting.name)
    if is_own(name):
        return OwnTeacher.at(name)
    if name.endswith(".py"):
        raise BadUsage(f"--teacher {name}: say which function of it returns the network, {name}:FUNCTION")
    cell = str(_cell(name))
    try:
        return setting.teacher.with_cell(cell)
    except BadUsage as reason:
        raise BadUsage(f"--teacher {name}: students of {setting.name} have {reason}") from None


def _trained(name: str, benchmark: str) -> TrainedTeacher:
    try:
        plan = recipe(benchmark).teacher
    except BadUsage:
        raise BadUsage(f"--teacher {name}: no teacher is trained for {benchmark}; use a cell or a resnet") from None
    from distill.teachers import load_teacher  # torch: only for who asks

    found = TrainedTeacher(plan, load_teacher(plan).hash)
    if name not in ("trained", _short(found.record())):
        raise unknown("teacher", name, [*TEACHERS, _short(found.record())])
    return found


def _cell(name: str) -> Cell:
    if name in NAMED_CELLS:
        return cell_at(NAMED_CELLS[name])
    if name.startswith("random:"):
        seed = name.removeprefix("random:")
        if not re.fullmatch(r"\d{1,9}", seed, re.ASCII):
            raise BadUsage(f"--teacher {name}: expected random: and a whole number, such as random:0")
        return cell_at(random.Random(int(seed)).randrange(len(cells())))
    if "|" in name or re.fullmatch(r"[+-]?\d+", name, re.ASCII):
        return cell_at(resolve(name))
    raise unknown("teacher", name, [*TEACHERS, "random:0"])


def teacher_name(benchmark: str, record: Mapping[str, Any]) -> str:
    """The name of a teacher by its record: equal teachers have equal names, and `with_teacher` takes what it gives.

    Of an older definition, which no name calls any more, a cell has its skeleton behind its name.
    """
    known = _known()
    own = known[benchmark].teacher.record() if benchmark in known else {}
    if record == own:
        return "default"
    if "kind" in record:
        if record["kind"] == "noise":
            seeing = teacher_name(benchmark, record["of"])
            return "noise" if seeing == "default" else f"noise-{seeing}"
        if record["kind"] == "own":
            return f"{record['name'].partition(':')[2]}-{record['hash'][:8]}"
        return f"resnet{record['depth']}" if record["kind"] == "resnet" else _short(record)
    index = Cell.parse(record["cell"]).index
    name = next((name for name, cell in NAMED_CELLS.items() if cell == index), str(index))
    size = record["skeleton"]
    return name if size == own.get("skeleton") else f"{name}-{size['channels']}x{size['cells_per_stage']}"


def _short(record: Mapping[str, Any]) -> str:
    return f"trained-{record['hash'][:8]}"
