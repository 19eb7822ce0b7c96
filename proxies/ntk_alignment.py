"""Do student and teacher move alike in training? Their neural tangent kernels on the same images, compared.

K [B, B] of a network: the inner products of its images' gradients, in all weights, of the sum of the logits (`of=sum`);
or for each class those of its logit, and K the sum over classes (`of=classes`). As in `ntk` no biases, batch norms
normalise over the images, and labels are not read. Kernels compare networks of any two sizes, where the gradients
themselves would need shared coordinates.

Ours, after the ideas of two submissions whose abstracts fix no details and which have no code: that gradients of
student and teacher should be aligned (https://openreview.net/forum?id=x4kreAhV1c), and that the Frobenius distance of
their kernels tells how many images distillation takes (https://openreview.net/forum?id=UpMG1bPKSB).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import BadUsage, unknown
from proxies.base import Proxy, Reference

if TYPE_CHECKING:
    import torch

    from probe.network import Probe

SUMS = ("sum", "classes")


def tangent_kernel(probe: Probe, images: int, of: str) -> torch.Tensor:
    """K [B, B] of the first images of the batch, in float64."""
    import torch

    batch = probe.images[:images].double()
    parameters = {name: value.double() for name, value in probe.parameters.items()}
    weights = [value.requires_grad_() for name, value in parameters.items() if not name.endswith("bias")]
    kernel = torch.zeros(len(batch), len(batch), dtype=torch.float64, device=batch.device)
    with torch.enable_grad():
        logits = probe.run(batch, parameters=parameters).logits
        for outputs in logits.T if of == "classes" else logits.sum(1)[None]:
            rows = [torch.autograd.grad(one, weights, retain_graph=True, materialize_grads=True) for one in outputs]
            # layer by layer: what dead layers add is exactly zero, wherever they stand
            for gradients in zip(*rows, strict=True):
                layer = torch.stack(gradients).flatten(1)
                kernel += layer @ layer.T
    return kernel


@dataclass(frozen=True)
class _Kernels(Proxy):
    """What both comparisons read: the kernels of the first `images` images."""

    family = "distillation"
    needs = ("forward", "weights", "teacher")

    images: int = 16
    of: str = "sum"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.of not in SUMS:
            raise unknown(f"sum of {self.name}", self.of, SUMS)
        if self.images < 1:
            raise BadUsage(f"{self.name}: images must be at least 1, not {self.images}")

    def kernels(self, student: Probe, teacher: Probe) -> tuple[torch.Tensor, torch.Tensor]:
        """Of the teacher and of the student; each once, whoever compares them."""
        key = "tangent kernel", self.images, self.of
        of_teacher, of_student = (
            probe.once(key, lambda each: tangent_kernel(each, self.images, self.of)) for probe in (teacher, student)
        )
        return of_teacher, of_student


@dataclass(frozen=True)
class NTKAlignment(_Kernels):
    """<H K_t H, H K_s H> / (|H K_t H| |H K_s H|), H = I - 1 1^T / B: the centred alignment of the kernels.

    NaN where a centred kernel is zero, as of one image or without a path to the output.
    """

    name = "ntk_alignment"
    least = 3
    reference = Reference(
        title="Could Student Selection Be the Missing Piece for Efficient Distillation?",
        year=2026,
        arxiv="",
        bibtex="anonymous2026student",
    )

    def score(self, student: Probe, teacher: Probe) -> float:
        K, L = (_centred(kernel) for kernel in self.kernels(student, teacher))
        return ((K * L).sum() / (K.norm() * L.norm())).item()


def _centred(kernel: torch.Tensor) -> torch.Tensor:
    return kernel - kernel.mean(0) - kernel.mean(1)[:, None] + kernel.mean()


@dataclass(frozen=True)
class NTKDistance(_Kernels):
    """-| K_t / |K_t| - K_s / |K_s| |, Frobenius norms: 0 at best, -sqrt 2 at worst, as <K_t, K_s> >= 0."""

    name = "ntk_distance"
    least = 2
    reference = Reference(
        title="On the Relationship Between NTK Frobenius Distance and Distillation Sample Complexity",
        year=2026,
        arxiv="",
        bibtex="anonymous2026ntk",
    )

    def score(self, student: Probe, teacher: Probe) -> float:
        K, L = self.kernels(student, teacher)
        return -(K / K.norm() - L / L.norm()).norm().item()
