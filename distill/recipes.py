"""How the accuracies of a benchmark are trained: everything that can change a number, in one record."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from common.errors import unknown
from common.files import json_hash
from spaces.skeleton import Skeleton

MODES = ("vanilla", "distilled")

ALL_3X3 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
"""The cell of the digits' teachers, trained and untrained. Here, where it can be named without importing torch."""


@dataclass(frozen=True)
class Recipe:
    """SGD with Nesterov momentum, learning rate to 0 by a cosine over `steps`; loss (1 - weight) CE + weight KD.

    `kd_weight` and `temperature` apply to `distilled`; `vanilla` is the same run with weight 0: same initialisation,
    same images in the same order. Weight decay covers all parameters, as in NAS-Bench-201's own recipe. Reported is the
    accuracy after the last step; nothing is selected on validation or test images. Raise `version` when a change of
    code changes the numbers.
    """

    benchmark: str
    skeleton: Skeleton
    teacher: str
    steps: int
    batch: int
    learning_rate: float
    momentum: float = 0.9
    weight_decay: float = 5e-4
    kd_weight: float = 0.9
    temperature: float = 4.0
    init: str = "default"
    version: int = 1

    def describe(self, mode: str, teacher_hash: str, data_hash: str) -> dict[str, Any]:
        """What stands in the table's JSON: the fields that matter to `mode`, the content hashes of data and teacher."""
        if mode not in MODES:
            raise unknown("mode", mode, MODES)
        fields = asdict(self) | {"mode": mode, "optimiser": "SGD, Nesterov", "schedule": "cosine to 0, by step"}
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


_RECIPES = {
    "digits": Recipe(
        benchmark="digits",
        skeleton=Skeleton(channels=8, cells_per_stage=1, classes=10, size=16),
        teacher="digits",
        steps=300,
        batch=96,
        learning_rate=0.1,
    )
}


def recipe(benchmark: str) -> Recipe:
    """The recipe of a benchmark's accuracy tables. Raises BadUsage where there is none."""
    if benchmark not in _RECIPES:
        raise unknown("benchmark with a training recipe", benchmark, _RECIPES)
    return _RECIPES[benchmark]
