"""What some distillation losses learn beside the student: regressors and embeddings, thrown away after training.

A connector takes and returns what its loss reads of the teacher and of the student, two tuples, and stands between
them: `loss(teacher, student, labels, connector)`. It trains with the student: its parameters belong to the optimiser.

Weights and biases are uniform in +-1/sqrt(fan-in), PyTorch's own distribution, drawn from the generator given, on its
device; batch norms start at weight 1, bias 0. Nothing is drawn from the global generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import nn

from distill.loss_terms import same_size
from distill.losses import loss
from spaces.layers import UndrawnConv2d, UndrawnLinear

Tensors = tuple[torch.Tensor, ...]
Shapes = Sequence[Sequence[int]]

EMBEDDING = 128
"""Width of CC's embeddings, RepDistiller's `feat_dim`."""
VARIANCE, LEAST_VARIANCE = 5.0, 1e-5
"""VID's variance at the start and the least it can learn, from RepDistiller."""


def connectors(
    loss_name: str, teacher_shapes: Shapes, student_shapes: Shapes, generator: torch.Generator
) -> nn.Module | None:
    """The connector a loss needs between two networks, None where it needs none.

    Shapes [B, C, H, W] are those of the maps at the end of each stage, `Output.features`; the last stage's width is
    also that of the pooled features. Raises BadUsage for an unknown loss.
    """
    name = loss(loss_name).name
    if name not in _CONNECTORS:
        return None
    teacher, student = ([shape[1] for shape in shapes] for shapes in (teacher_shapes, student_shapes))
    return _CONNECTORS[name](teacher, student, generator)


def projection(teacher: int, student: int, generator: torch.Generator) -> nn.Conv2d:
    """A 1x1 convolution without bias from the student's width to the teacher's."""
    return _conv(student, teacher, generator)


class Regressor(nn.Module):
    """BN(conv1x1(student)) -> the teacher's width; the teacher's map as it is.

    For FitNet RepDistiller's regressor less its final ReLU: there hints are maps after a ReLU, while the inner stages
    of NAS-Bench-201 end before one and go negative. For ICKD (convolution without bias) the authors' embedding.
    """

    def __init__(self, teacher: int, student: int, generator: torch.Generator, bias: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(_conv(student, teacher, generator, bias), nn.BatchNorm2d(teacher))

    def forward(self, teacher: Tensors, student: Tensors) -> tuple[Tensors, Tensors]:
        return teacher, (self.layers(student[0]),)


class Embeddings(nn.Module):
    """W_t teacher + b_t and W_s student + b_s, [N, 128] each: for CC both are learned, as in RepDistiller."""

    def __init__(self, teacher: int, student: int, generator: torch.Generator) -> None:
        super().__init__()
        self.teacher = _linear(teacher, EMBEDDING, generator)
        self.student = _linear(student, EMBEDDING, generator)

    def forward(self, teacher: Tensors, student: Tensors) -> tuple[Tensors, Tensors]:
        return (self.teacher(teacher[0]),), (self.student(student[0]),)


class Gaussians(nn.Module):
    """For each stage mean = conv1x1(relu(conv1x1(relu(conv1x1(student))))) and variance = softplus(scale) + 1e-5.

    For VID, as in RepDistiller: hidden width that of the teacher, no biases, a scale for each of the teacher's
    channels, from which the variance starts as 5. Of unequal sizes the larger map is pooled, the student's before its
    convolutions. Gives the teacher's maps, and in the student's place the means and the log variances [1, C, 1, 1].
    """

    def __init__(self, teacher: Sequence[int], student: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        self.means = nn.ModuleList(
            nn.Sequential(_conv(s, t, generator), nn.ReLU(), _conv(t, t, generator), nn.ReLU(), _conv(t, t, generator))
            for t, s in zip(teacher, student, strict=True)
        )
        start = math.log(math.expm1(VARIANCE - LEAST_VARIANCE))
        self.scales = nn.ParameterList(nn.Parameter(torch.full((1, t, 1, 1), start)) for t in teacher)

    def forward(
        self, teacher: tuple[Tensors], student: tuple[Tensors]
    ) -> tuple[tuple[Tensors], tuple[Tensors, Tensors]]:
        pairs = [same_size(t, s) for t, s in zip(teacher[0], student[0], strict=True)]
        means = tuple(mean(s) for mean, (_, s) in zip(self.means, pairs, strict=True))
        log_variances = tuple((F.softplus(scale) + LEAST_VARIANCE).log() for scale in self.scales)
        return (tuple(t for t, _ in pairs),), (means, log_variances)


class StageProjections(nn.Module):
    """conv1x1(student) -> the teacher's width at each stage where widths differ, for KDSVD.

    Ours: the published loss is defined for equal widths only.
    """

    def __init__(self, teacher: Sequence[int], student: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Identity() if t == s else _conv(s, t, generator) for t, s in zip(teacher, student, strict=True)
        )

    def forward(self, teacher: tuple[Tensors], student: tuple[Tensors]) -> tuple[tuple[Tensors], tuple[Tensors]]:
        return teacher, (tuple(layer(maps) for layer, maps in zip(self.layers, student[0], strict=True)),)


class PooledProjection(nn.Module):
    """W student_pooled -> the teacher's width, logits as they are, for the semantic loss: g_s becomes g_s W^T.

    Ours: the published metric is defined for equal widths only.
    """

    def __init__(self, teacher: int, student: int, generator: torch.Generator) -> None:
        super().__init__()
        self.layer = _linear(student, teacher, generator, bias=False)

    def forward(self, teacher: Tensors, student: Tensors) -> tuple[Tensors, Tensors]:
        logits, pooled = student
        return teacher, (logits, self.layer(pooled))


def _fitnet(teacher: list[int], student: list[int], generator: torch.Generator) -> nn.Module:
    middle = len(teacher) // 2
    return Regressor(teacher[middle], student[middle], generator, bias=True)


def _ickd(teacher: list[int], student: list[int], generator: torch.Generator) -> nn.Module:
    return Regressor(teacher[-1], student[-1], generator, bias=False)


def _cc(teacher: list[int], student: list[int], generator: torch.Generator) -> nn.Module:
    return Embeddings(teacher[-1], student[-1], generator)


def _kdsvd(teacher: list[int], student: list[int], generator: torch.Generator) -> nn.Module | None:
    return None if teacher == student else StageProjections(teacher, student, generator)


def _semantic(teacher: list[int], student: list[int], generator: torch.Generator) -> nn.Module | None:
    return None if teacher[-1] == student[-1] else PooledProjection(teacher[-1], student[-1], generator)


_CONNECTORS: dict[str, Callable[[list[int], list[int], torch.Generator], nn.Module | None]] = {
    "fitnet": _fitnet,
    "ickd": _ickd,
    "cc": _cc,
    "vid": Gaussians,
    "kdsvd": _kdsvd,
    "semantic": _semantic,
}


def _conv(channels_in: int, channels_out: int, generator: torch.Generator, bias: bool = False) -> nn.Conv2d:
    """A 1x1 convolution, drawn from the generator."""
    layer = UndrawnConv2d(channels_in, channels_out, 1, bias=bias)
    layer.weight = _uniform((channels_out, channels_in, 1, 1), channels_in, generator)
    if bias:
        layer.bias = _uniform((channels_out,), channels_in, generator)
    return layer


def _linear(features: int, outputs: int, generator: torch.Generator, bias: bool = True) -> nn.Linear:
    """A linear layer, drawn from the generator."""
    layer = UndrawnLinear(features, outputs, bias=bias)
    layer.weight = _uniform((outputs, features), features, generator)
    if bias:
        layer.bias = _uniform((outputs,), features, generator)
    return layer


def _uniform(shape: tuple[int, ...], fan_in: int, generator: torch.Generator) -> nn.Parameter:
    bound = 1 / math.sqrt(fan_in)
    return nn.Parameter(torch.empty(shape, device=generator.device).uniform_(-bound, bound, generator=generator))
