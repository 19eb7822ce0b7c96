"""DisWOT+: the two metrics of DisWOT as distillation losses, in the form its authors print.

Dong, Li & Wei, "DisWOT: Student Architecture Search for Distillation WithOut Training", CVPR 2023, arXiv 2303.15678.
Neither code nor weights of DisWOT+ are public.
"""

from __future__ import annotations

import torch
from torch import nn

from distill.loss_terms import class_weighted_maps, gram, rows, same_size
from distill.process.stages import Seen


def semantic(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """1/C^2 | G_t G_t^T / |.| - G_s G_s^T / |.| |, G the class-weighted last maps as [C, N H W]; in [0, 2 / C^2].

    How the channels of the Grad-CAM maps go together: C x C matrices, so the widths have to be equal. Nothing is
    squared, Frobenius norms: the paper writes |.|_2 and does not say of what.
    """
    return _unit_distance(teacher, student) / teacher.shape[0] ** 2


def relation(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """1/N^2 | A_t A_t^T / |.| - A_s A_s^T / |.| |, A the last maps as [N, C H W]; in [0, 2 / N^2].

    How the images go together. Widths and sizes may differ.
    """
    return _unit_distance(teacher.flatten(1), student.flatten(1)) / teacher.shape[0] ** 2


def _unit_distance(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """Frobenius distance of the Gram matrices, each over its own norm; zero stays zero."""
    of_teacher, of_student = (rows(gram(values).flatten()) for values in (teacher, student))
    return (of_teacher - of_student).norm()


class Terms(nn.Module):
    """[semantic, relation] of what two networks showed of a batch.

    Ours, for unequal widths: the student's class-weighted maps become as wide as the teacher's by a 1x1 convolution
    that is learned with the student, drawn as the connectors are. Of unequal sizes the larger map is pooled.
    """

    def __init__(self, teacher: Seen, student: Seen, projection: nn.Conv2d | None) -> None:
        super().__init__()
        self.projection = projection
        if projection is None and teacher.pooled.shape[1] != student.pooled.shape[1]:
            raise ValueError("unequal widths need a projection")

    def forward(self, teacher: Seen, student: Seen, labels: torch.Tensor) -> torch.Tensor:
        """[2]"""
        maps_t, maps_s = same_size(teacher.features[-1], student.features[-1])
        cam_t = class_weighted_maps(maps_t, teacher.classifier, labels)
        cam_s = class_weighted_maps(maps_s, student.classifier, labels)
        if self.projection is not None:
            cam_s = self.projection.weight.flatten(1) @ cam_s
        return torch.stack([semantic(cam_t, cam_s), relation(teacher.features[-1], student.features[-1])])
