"""How the accuracies of a benchmark are trained: everything that can change a number, in one record."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import inf
from typing import Any

from common.errors import BadUsage, unknown
from common.files import json_hash
from common.spec import settings
from distill.recipe_name import RecipeName, short_name
from spaces.nb201.skeleton import CellSkeleton

MODES = ("vanilla", "distilled")
BLOCK = 3
"""Seeds that are trained side by side, vanilla and distilled."""

ALL_3X3 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
"""The cell of the digits' teachers, trained and untrained. Here, where it can be named without importing torch."""

PRECISIONS = ("float32", "bfloat16")
SCHEDULES = {
    "cosine": "cosine to 0, by step",
    "steps": "a tenth after 62.5 %, 75 % and 87.5 % of the steps",
    "trapezoid": "linear from 0 over 50 steps, constant, linear to 0 over the last 30 % of the steps",
}


@dataclass(frozen=True)
class Recipe:
    """SGD with Nesterov momentum over `epochs` of `epoch_steps`; loss (1 - weight) CE + weight KD.

    `kd_weight` and `temperature` apply to `distilled`; `vanilla` is the same run with weight 0: same initialisation,
    same images in the same order. Weight decay covers all parameters, as in NAS-Bench-201's own recipe. `schedule` is
    that of the learning rate, `cosine` or `steps` (distill/training.py); both end within the horizon. `precision` is
    that of a step's forward pass: `float32`, or `bfloat16` where autocast has it; losses, batch statistics, teachers
    and all measuring are float32. `sees` says what of a cell is trained: the live `function`, or every operation that
    its network executes (spaces/nb201/network.py). Reported is the accuracy after the last step; nothing is selected on
    validation or test images. `distilled_only` trains only distilled students, each by itself, in place of `BLOCK`
    seeds of both modes side by side; `apart` makes a network of each mode's seeds, so that recipes that differ in their
    distillation share their vanilla students. With `images` students see only so many training images, the first of the
    split, of which their teacher saw all. Raise `version` when a change of code changes the numbers.
    """

    benchmark: str
    skeleton: CellSkeleton
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
    distilled_only: bool = False
    apart: bool = False
    images: int | None = None

    @property
    def steps(self) -> int:
        """Batches of the whole training."""
        return self.epochs * self.epoch_steps

    @property
    def modes(self) -> tuple[str, ...]:
        """Those that are trained."""
        return ("distilled",) if self.distilled_only else MODES

    @property
    def stacks(self) -> tuple[tuple[str, ...], ...]:
        """The modes that are trained side by side as one network, for each such network."""
        return tuple((mode,) for mode in self.modes) if self.apart else (self.modes,)

    @property
    def block(self) -> int:
        """Seeds are trained so many at a time, 0-2, 3-5, ...: how a stack of networks rounds depends on its size."""
        return 1 if self.distilled_only else BLOCK

    def record(self) -> dict[str, Any]:
        """All fields; of the `_LATER` only those that are set, since tables of before do not say them."""
        fields = {_KEYS.get(name, name): value for name, value in asdict(self).items()}
        return {name: value for name, value in fields.items() if value or name not in _LATER}

    def describe(self, mode: str, teacher_hash: str, data_hash: str) -> dict[str, Any]:
        """What stands in the table's JSON: the fields that matter to `mode`, the content hashes of data and teacher."""
        if mode not in MODES:
            raise unknown("mode", mode, MODES)
        fields = self.record() | {"mode": mode, "optimiser": "SGD, Nesterov", "schedule": SCHEDULES[self.schedule]}
        fields["steps"] = self.steps
        fields["teacher"] = short_name(self.teacher)
        fields["data_hash"] = data_hash
        if mode == "vanilla":
            del fields["kd_weight"], fields["temperature"], fields["teacher"]
            return fields | {"loss": "CE"}
        return fields | {
            "loss": "(1 - kd_weight) CE + kd_weight T^2 KL(teacher || student)",
            "teacher_hash": teacher_hash,
        }


_KEYS = {"distilled_only": "alone"}
"""What a field is called in records, which never change, where its name has."""
_LATER = ("alone", "apart", "images")
"""Fields that were added when tables existed."""


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
        skeleton=CellSkeleton(channels=8, cells_per_stage=1, classes=10, size=16),
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
            skeleton=CellSkeleton(channels=16, cells_per_stage=5, classes=classes, size=32),
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
        skeleton=CellSkeleton(channels=8, cells_per_stage=1, classes=10, size=32),
        teacher="cifar10-small",
        epochs=1,
        epoch_steps=200,
        batch=32,
        learning_rate=0.1,
    ),
    # what a thousand trainings on natural images cost a core in hours (`make study` compares recipes)
    **{
        f"{name}-16px": Recipe(
            benchmark=f"{name}-16px",
            skeleton=CellSkeleton(channels=8, cells_per_stage=1, classes=classes, size=16),
            teacher=f"{name}-16px",
            epochs=1,
            epoch_steps=800,
            batch=128,
            learning_rate=0.2,
            schedule="trapezoid",
            apart=True,
        )
        for name, classes in _CIFAR.items()
    },
}
_VARIED = {
    "batch": int,
    "epoch_steps": int,
    "learning_rate": float,
    "kd_weight": float,
    "temperature": float,
    "precision": str,
    "teacher": str,
    "channels": int,
    "images": int,
}
"""Fields that a variant of a recipe sets, `name:field=value:field=value`; `channels` is its skeleton's."""
_STEPS = "cifar10-16px:epoch_steps=400"
STUDIED = {
    "cifar10-16px": (
        "cifar10-16px",
        _STEPS,
        "cifar10-16px:batch=64:learning_rate=0.1",
        "cifar10-16px:epoch_steps=1600",
        "cifar10-16px:batch=64:epoch_steps=1600:learning_rate=0.1",
        "cifar10-16px:batch=256:epoch_steps=400:learning_rate=0.4",
        f"{_STEPS}:precision=bfloat16",
        f"{_STEPS}:temperature=2.0",
        f"{_STEPS}:temperature=8.0",
        f"{_STEPS}:kd_weight=0.5",
        f"{_STEPS}:kd_weight=1.0",
        f"{_STEPS}:teacher=cifar10-16px-resnet9-8@3",
        f"{_STEPS}:teacher=cifar10-16px-resnet9-24@6",
        f"{_STEPS}:teacher=cifar10-16px@20",
        f"{_STEPS}:images=4500",
    )
}
"""Recipes that were compared before one was chosen, by benchmark (`distill study`, `analysis recipes`)."""
_LITERATURE = {"init": "kaiming", "schedule": "steps", "epoch_steps": _steps(64), "batch": 64, "learning_rate": 0.05}
_LIKE_STUDENTS = {"init": "kaiming", "epoch_steps": _steps(128), "apart": False}
_TEACHERS: dict[str, dict[str, Any]] = {
    "digits": {
        "skeleton": CellSkeleton(channels=16, cells_per_stage=3, classes=10, size=16),
        "epochs": 1,
        "epoch_steps": 1500,
        "batch": 96,
    },
    **{name: {**_LITERATURE, "epochs": 240} for name in _CIFAR},
    "cifar10-small": {**_LITERATURE, "epochs": 1},
    "cifar10-16px": {**_LIKE_STUDENTS, "epochs": 6},
    "cifar100-16px": {**_LIKE_STUDENTS, "epochs": 10},
}
"""What a teacher's recipe has in place of its students'; nothing for a benchmark that is not here."""


def names() -> list[str]:
    """The benchmarks, and smaller forms of them, that have a recipe."""
    return list(_RECIPES)


def recipe(name: str) -> Recipe:
    """The recipe that a name says (`RecipeName`); fields that a variant can set are in `_VARIED`.

    Raises BadUsage where there is none.
    """
    said = RecipeName.parse(name)
    if said.base not in _RECIPES:
        raise unknown("benchmark with a training recipe", said.base, _RECIPES)
    found = _RECIPES[said.base]
    if said.short:  # the schedule ends within them: what 12 of NAS-Bench-201's 200 epochs are
        found = replace(found, epochs=1, epoch_steps=found.steps // 10, distilled_only=True)
    if said.rehearsal:
        small = replace(found.skeleton, channels=4, cells_per_stage=1)
        found = replace(found, skeleton=small, teacher=f"random:{said.base}", epochs=2, epoch_steps=4, batch=32)
    if said.executed:
        found = replace(found, sees="executed")
    return _varied(found, str(said.of_sample), settings(str(said.of_sample), _VARIED)) if said.variant else found


def _varied(found: Recipe, name: str, values: dict[str, Any]) -> Recipe:
    """The recipe with these values in place of its own. Raises BadUsage, with the name, for one without sense."""
    for field in ("batch", "epoch_steps", "learning_rate", "temperature", "channels", "images"):
        if not 0 < values.get(field, 1) < inf:
            raise BadUsage(f"'{name}': {field} must be finite and above 0")
    if not 0 <= values.get("kd_weight", 0) <= 1:
        raise BadUsage(f"'{name}': kd_weight must lie in 0 to 1")
    if values.get("precision", found.precision) not in PRECISIONS:
        raise unknown("precision", values["precision"], PRECISIONS)
    skeleton = replace(found.skeleton, channels=values.pop("channels", found.skeleton.channels))
    return replace(found, skeleton=skeleton, **values)


def teacher_recipe(benchmark: str) -> Recipe:
    """How a benchmark's teachers are trained, by default. Raises BadUsage where there is none.

    On CIFAR the 240 epochs of the distillation literature (RepDistiller, mdistiller): batch 64, learning rate .05; one
    of them where the recipe is small; on CIFAR of 16 pixels the students' own schedule, batch and rate for some epochs.
    On `digits` the network is twice as wide and three times as deep as the students.
    """
    return replace(recipe(benchmark), teacher="", **_TEACHERS.get(benchmark, {}))
