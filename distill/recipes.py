"""How the accuracies of a benchmark are trained: everything that can change a number, in one record."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import inf
from typing import Any

from common.errors import BadUsage, unknown
from common.files import json_hash
from common.named import settings
from spaces.skeleton import Skeleton

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
    its network executes (spaces/network.py). Reported is the accuracy after the last step; nothing is selected on
    validation or test images. `alone` trains only distilled students, each by itself, in place of `BLOCK` seeds of both
    modes side by side; `apart` makes a network of each mode's seeds, so that recipes that differ in their distillation
    share their vanilla students. Raise `version` when a change of code changes the numbers.
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
    apart: bool = False

    @property
    def steps(self) -> int:
        """Batches of the whole training."""
        return self.epochs * self.epoch_steps

    @property
    def modes(self) -> tuple[str, ...]:
        """Those that are trained."""
        return ("distilled",) if self.alone else MODES

    @property
    def stacks(self) -> tuple[tuple[str, ...], ...]:
        """The modes that are trained side by side as one network, for each such network."""
        return tuple((mode,) for mode in self.modes) if self.apart else (self.modes,)

    @property
    def block(self) -> int:
        """Seeds are trained so many at a time, 0-2, 3-5, ...: how a stack of networks rounds depends on its size."""
        return 1 if self.alone else BLOCK

    def record(self) -> dict[str, Any]:
        """All fields; of the `_LATER` only those that are set, since tables of before do not say them."""
        return {name: value for name, value in asdict(self).items() if value or name not in _LATER}

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


_LATER = ("alone", "apart")
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
    # what a thousand trainings on natural images cost a core in hours (docs/labels.md has the study that chose it)
    **{
        f"{name}-16px": Recipe(
            benchmark=f"{name}-16px",
            skeleton=Skeleton(channels=8, cells_per_stage=1, classes=classes, size=16),
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
}
"""Fields that a variant of a recipe sets, `name:field=value:field=value`; `channels` is its skeleton's."""
_STEPS = "cifar10-16px:epoch_steps=400"
STUDIED = {
    "cifar10-16px": (
        "cifar10-16px",
        _STEPS,
        "cifar10-16px:batch=64:learning_rate=0.1",
        "cifar10-16px:batch=64:epoch_steps=1600:learning_rate=0.1",
        "cifar10-16px:batch=256:epoch_steps=400:learning_rate=0.4",
        f"{_STEPS}:precision=bfloat16",
        f"{_STEPS}:temperature=2.0",
        f"{_STEPS}:temperature=8.0",
        f"{_STEPS}:kd_weight=0.5",
        f"{_STEPS}:kd_weight=1.0",
        f"{_STEPS}:teacher=cifar10-16px-resnet9-8@3",
        f"{_STEPS}:teacher=cifar10-16px-resnet9-32@6",
        f"{_STEPS}:teacher=cifar10-16px@20",
    )
}
"""Recipes that were compared before one was chosen, by benchmark (`distill study`, `analysis recipes`)."""
TEACHER_EPOCHS = {"cifar10-16px": 6, "cifar100-16px": 10}
"""Of teachers that train as their students do."""
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
    `<name>-executed`, of any of all these `<name>-chosen`, and a variant of any, `<name>:field=value` (`_VARIED`).

    Raises BadUsage where there is none.
    """
    name = name.removesuffix(CHOSEN)
    if ":" in name:
        return _variant(name)
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


def _variant(name: str) -> Recipe:
    """The recipe of the name before the colon with the values behind it. Raises BadUsage for one without sense."""
    found, values = recipe(name.partition(":")[0]), settings(name, _VARIED)
    for field in ("batch", "epoch_steps", "learning_rate", "temperature", "channels"):
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
    students = recipe(benchmark)
    if benchmark == "digits":
        skeleton = Skeleton(channels=16, cells_per_stage=3, classes=10, size=16)
        return replace(students, skeleton=skeleton, teacher="", epochs=1, epoch_steps=1500, batch=96)
    if benchmark in TEACHER_EPOCHS:
        epochs = TEACHER_EPOCHS[benchmark]
        return replace(students, teacher="", init="kaiming", epochs=epochs, epoch_steps=_steps(128), apart=False)
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
