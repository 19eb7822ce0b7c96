"""Pathways of a distillation: from a stage of the teacher to one of the student, through a transform that is learned.

A pathway is named `<teacher's stage>-<student's stage>-<transform>`, such as `stage1-stage3-T4`: so a process learned
on one pair of networks says what to build on another. All stages are in `STAGES` (distill/process/stages.py).

Deng, Sun, Newsam & Wang, "DistPro: Searching A Fast Knowledge Distillation Process via Meta Optimization", ECCV 2022,
arXiv 2204.05547; the transforms and the distance as in its released code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from common.errors import BadUsage, unknown
from distill.process.stages import STAGES, Seen
from spaces.layers import UndrawnConv2d

TRANSFORMS = ("T1", "T2", "T3", "T4")
WIDEST = 512
"""Most channels between the convolutions of a transform."""
LEVELS = (4, 2, 1)
"""Sides to which `distance` pools the maps."""


class Pathway(NamedTuple):
    """Where it starts and ends, and what is between."""

    teacher: str
    student: str
    transform: str

    def __str__(self) -> str:
        return "-".join(self)


def parse(name: str) -> Pathway:
    """The pathway of a name. Raises BadUsage."""
    parts = name.split("-")
    if len(parts) != 3:
        raise BadUsage(f"pathway '{name}': expected STAGE-STAGE-TRANSFORM, such as stage1-stage2-T4")
    for kind, part, known in zip(("stage", "stage", "transform"), parts, (STAGES, STAGES, TRANSFORMS), strict=True):
        if part not in known:
            raise unknown(kind, part, known)
    return Pathway(*parts)


def between(stages: Sequence[str], transforms: Sequence[str]) -> list[Pathway]:
    """Every pathway between these stages whose student's stage is not before the teacher's. Raises BadUsage."""
    for kind, given, known in (("stage", stages, STAGES), ("transform", transforms, TRANSFORMS)):
        for name in given:
            if name not in known:
                raise unknown(kind, name, known)
    return [
        Pathway(teacher, student, transform)
        for teacher in STAGES
        for student in STAGES[STAGES.index(teacher) :]
        for transform in TRANSFORMS
        if teacher in stages and student in stages and transform in transforms
    ]


def distance(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """(MSE + 1/2 MSE_4 + 1/4 MSE_2 + 1/8 MSE_1) / sum of the weights, MSE_l of the maps averaged to l x l pixels.

    Maps [N, C, H, W] of one shape. A level not below the height is left out, and the weight halves at the others only.

    The hierarchical context loss of Chen, Liu, Zhao & Jia, "Distilling Knowledge via Knowledge Review", CVPR 2021,
    arXiv 2104.09044.
    """
    total, weight, weights = F.mse_loss(student, teacher), 1.0, 1.0
    for level in LEVELS:
        if level >= teacher.shape[2]:
            continue
        weight /= 2
        weights += weight
        pooled = [F.adaptive_avg_pool2d(maps, level) for maps in (student, teacher)]
        total = total + weight * F.mse_loss(pooled[0], pooled[1])
    return total / weights


class Transform(nn.Module):
    """The student's map [N, C_s, H_s, W_s] made comparable to the teacher's [N, C_t, H_t, W_t].

    With m = min(512, C_t, C_s), att = x * conv1(x) to one channel, up = nearest resizing to the teacher's size:
    T1 conv1-BN-up; T2 conv1(m)-BN-att-up-conv3-BN; T3 conv1(m)-BN-att-up-conv3(m)-BN-conv3-BN;
    T4 conv3(m)-BN-ReLU-att-conv3(m)-BN-ReLU-up-conv3-BN. No biases but that of att.
    Weights are normal, of variance 2 / (k^2 C_out), att's as PyTorch has them, drawn from the generator given.
    """

    def __init__(self, name: str, teacher: Sequence[int], student: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        (c_t, *size), c_s = teacher[1:], student[1]
        m = min(WIDEST, c_t, c_s)
        up = nn.Upsample(size=tuple(size), mode="nearest")

        def conv(channels_in: int, channels_out: int, kernel: int) -> list[nn.Module]:
            return [_conv(channels_in, channels_out, kernel, generator), _norm(channels_out, generator)]

        if name == "T1":
            layers = [*conv(c_s, c_t, 1), up]
        elif name == "T2":
            layers = [*conv(c_s, m, 1), _Attention(m, generator), up, *conv(m, c_t, 3)]
        elif name == "T3":
            layers = [*conv(c_s, m, 1), _Attention(m, generator), up, *conv(m, m, 3), *conv(m, c_t, 3)]
        else:
            middle = [_Attention(m, generator), *conv(m, m, 3), nn.ReLU()]
            layers = [*conv(c_s, m, 3), nn.ReLU(), *middle, up, *conv(m, c_t, 3)]
        self.layers = nn.Sequential(*layers)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        transformed: torch.Tensor = self.layers(maps)
        return transformed


class _Attention(nn.Module):
    """x * conv1(x), one factor a pixel."""

    def __init__(self, channels: int, generator: torch.Generator) -> None:
        super().__init__()
        self.factor = UndrawnConv2d(channels, 1, 1)
        bound = 1 / math.sqrt(channels)
        for name, shape in (("weight", (1, channels, 1, 1)), ("bias", (1,))):
            value = torch.empty(shape, device=generator.device).uniform_(-bound, bound, generator=generator)
            setattr(self.factor, name, nn.Parameter(value))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps * self.factor(maps)


def _conv(channels_in: int, channels_out: int, kernel: int, generator: torch.Generator) -> nn.Conv2d:
    conv = UndrawnConv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False)
    weight = torch.empty((channels_out, channels_in, kernel, kernel), device=generator.device)
    weight.normal_(0, math.sqrt(2 / (kernel**2 * channels_out)), generator=generator)
    conv.weight = nn.Parameter(weight)
    return conv


def _norm(channels: int, generator: torch.Generator) -> nn.BatchNorm2d:
    # a transform is thrown away after training: nobody asks for statistics over batches
    return nn.BatchNorm2d(channels, track_running_stats=False, device=generator.device)


class Pathways(nn.Module):
    """Pathways between two networks; their transforms are trained with the student."""

    def __init__(self, pathways: Sequence[Pathway], teacher: Seen, student: Seen, generator: torch.Generator) -> None:
        """`teacher` and `student` say the shapes of the maps; of their values nothing is used."""
        super().__init__()
        self.pathways = tuple(pathways)
        self.transforms = nn.ModuleList(
            Transform(path.transform, teacher.stage(path.teacher).shape, student.stage(path.student).shape, generator)
            for path in self.pathways
        )

    def forward(self, teacher: Seen, student: Seen) -> torch.Tensor:
        """The distance of each pathway [n]."""
        return torch.stack(
            [
                distance(teacher.stage(path.teacher), transform(student.stage(path.student)))
                for path, transform in zip(self.pathways, self.transforms, strict=True)
            ]
        )
