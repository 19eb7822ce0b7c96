"""How the accuracies of a benchmark are trained: everything that can change a number, in one record."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from common.errors import unknown
from common.files import json_hash
from spaces.skeleton import Skeleton

MODES = ("vanilla", "distilled")
BLOCK = 3
"""Seeds that are trained side by side, vanilla and distilled."""

ALL_3X3 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
"""The cell of the digits' teachers, trained and untrained. Here, where it can be named without importing torch."""

SCHEDULES = {
    "cosine": "cosine to 0, by step",
    "steps": "a tenth after 62.5 %, 75 % and 87.5 % of the steps",
}


@dataclass(frozen=True)
class Recipe:
    """SGD with Nesterov momentum over `epochs` of `epoch_steps`; loss (1 - weight) CE + weight KD.

    `kd_weight` and `temperature` apply to `distilled`; `vanilla` is the same run with weight 0: same initialisation,
    same images in the same order. Weight decay covers all parameters, as in NAS-Bench-201's own recipe. `schedule` is
    that of the learning rate, `cosine` or `steps` (distill/training.py); both end within the horizon. `precision` is
    that of a step's forward pass: `float32`, or `bfloat16` where autocast has it; losses, batch statistics, teachers
    and all measuring are float32. `sees` says what of a cell is trained: the live `function`, or every operation that
    its network executes (spaces/network.py). Reported is the accuracy after the last step; nothing is selected on
    validation or test images. `alone` trains only distilled students, each by itself, in place of `BLOCK` seeds of both
    modes side by side. Raise `version` when a change of code changes the numbers.
    """

    benchmark: str
    skeleton: Skeleton
    teacher: str
    epochs: int
    epoch_steps: int
    batch: int
    learning_rate: float
    momentum: float = 0.9
    weight_decay: float = 5e-4
    kd_weight: float = 0.9
    temperature: float = 4.0
    init: str = "default"
    schedule: str = "cosine"
    precision: str = "float32"
    sees: str = "function"
    version: int = 2
    alone: bool = False

    @property
    def steps(self) -> int:
        """Batches of the whole training."""
        return self.epochs * self.epoch_steps

    @property
    def modes(self) -> tuple[str, ...]:
        """Those that are trained."""
        return ("distilled",) if self.alone else MODES

    @property
    def block(self) -> int:
        """Seeds are trained so many at a time, 0-2, 3-5, ...: how a stack of networks rounds depends on its size."""
        return 1 if self.alone else BLOCK

    def record(self) -> dict[str, Any]:
        """All fields; without `alone` where it is not, since tables of before do not say it and keep their identity."""
        fields = asdict(self)
        if not self.alone:
            del fields["alone"]
        return fields

    def describe(self, mode: str, teacher_hash: str, data_hash: str) -> dict[str, Any]:
        """What stands in the table's JSON: the fields that matter to `mode`, the content hashes of data and teacher."""
        if mode not in MODES:
            raise unknown("mode", mode, MODES)
        fields = self.record() | {"mode": mode, "optimiser": "SGD, Nesterov", "schedule": SCHEDULES[self.schedule]}
        fields["steps"] = self.steps
        fields["data_hash"] = data_hash
        if mode == "vanilla":
            del fields["kd_weight"], fields["temperature"], fields["teacher"]
            return fields | {"loss": "CE"}
        return fields | {
            "loss": "(1 - kd_weight) CE + kd_weight T^2 KL(teacher || student)",
            "teacher_hash": teacher_hash,
        }


def recipe_hash(description: dict[str, Any]) -> str:
    """Identity of a description; rows of unequal hashes never share a table."""
    return json_hash(description)


_CIFAR = {"cifar10": 10, "cifar100": 100}
CIFAR_TRAIN = 45_000
"""Training images of CIFAR once 5,000 are held out for validation."""


def _steps(batch: int) -> int:
    """Batches that make an epoch of CIFAR, the last one filled from the next epoch."""
    return -(-CIFAR_TRAIN // batch)


_RECIPES = {
    "digits": Recipe(
        benchmark="digits",
        skeleton=Skeleton(channels=8, cells_per_stage=1, classes=10, size=16),
        teacher="digits",
        epochs=2,
        epoch_steps=300,
        batch=32,
        learning_rate=0.1,
    ),
    # the size, batch and optimiser of NAS-Bench-201, whose shortest tables have 12 epochs too
    **{
        name: Recipe(
            benchmark=name,
            skeleton=Skeleton(channels=16, cells_per_stage=5, classes=classes, size=32),
            teacher=name,
            epochs=12,
            epoch_steps=_steps(256),
            batch=256,
            learning_rate=0.1,
            precision="bfloat16",
        )
        for name, classes in _CIFAR.items()
    },
    "cifar10-small": Recipe(
        benchmark="cifar10",
        skeleton=Skeleton(channels=8, cells_per_stage=1, classes=10, size=32),
        teacher="cifar10-small",
        epochs=1,
        epoch_steps=200,
        batch=32,
        learning_rate=0.1,
    ),
}
SMALL = "-small"
"""Ending of the name of a recipe on CIFAR for one core and minutes: small networks that learn something."""
EXECUTED = "-executed"
"""Ending of the name of a recipe that trains cells as the benchmark executes them (docs/equivalence.md)."""
SHORT = "-short"
"""Ending of the name of a recipe of a tenth of the steps, distilled only, which BOHB looks at first (search/tpe.py)."""
REHEARSAL = "-rehearsal"
"""Ending of the name of a recipe that goes through everything in seconds, to numbers that mean nothing."""
CHOSEN = "-chosen"
"""Ending of the name of tables of cells that somebody chose: they are trained as the others are, but are no sample."""


def recipe(name: str) -> Recipe:
    """The recipe of a benchmark's accuracy tables, `<benchmark>-short`, `<benchmark>-rehearsal`, of any of them
    `<name>-executed`, and of any of all these `<name>-chosen`.

    Raises BadUsage where there is none.
    """
    name = name.removesuffix(CHOSEN)
    cells = name.removesuffix(EXECUTED)
    benchmark = cells.removesuffix(SHORT if cells.endswith(SHORT) else REHEARSAL)
    if benchmark not in _RECIPES:
        raise unknown("benchmark with a training recipe", name, _RECIPES)
    found = _RECIPES[benchmark]
    if cells.endswith(SHORT):  # the schedule ends within them: what 12 of NAS-Bench-201's 200 epochs are
        found = replace(found, epochs=1, epoch_steps=found.steps // 10, alone=True)
    if cells.endswith(REHEARSAL):
        small = replace(found.skeleton, channels=4, cells_per_stage=1)
        found = replace(found, skeleton=small, teacher=f"random:{benchmark}", epochs=2, epoch_steps=4, batch=32)
    return replace(found, sees="executed") if name.endswith(EXECUTED) else found


def teacher_recipe(benchmark: str) -> Recipe:
    """How a benchmark's teachers are trained, by default. Raises BadUsage where there is none.

    On CIFAR the 240 epochs of the distillation literature (RepDistiller, mdistiller): batch 64, learning rate .05; one
    of them where the recipe is small. On `digits` the network is twice as wide and three times as deep as the students.
    """
    students = recipe(benchmark)
    if benchmark == "digits":
        skeleton = Skeleton(channels=16, cells_per_stage=3, classes=10, size=16)
        return replace(students, skeleton=skeleton, teacher="", epochs=1, epoch_steps=1500, batch=96)
    return replace(
        students,
        teacher="",
        init="kaiming",
        schedule="steps",
        epochs=1 if benchmark.endswith(SMALL) else 240,
        epoch_steps=_steps(64),
        batch=64,
        learning_rate=0.05,
    )
