"""Auto-DAS's student part: a formula that was found by evolution over distilled accuracies (ECCV 2024).

The authors' scripts for NAS-Bench-101, for NAS-Bench-201 and for vision transformers score by the sum of a student
part and a teacher part. The teacher part compares squared logits of student and teacher, and cannot be stated without
guessing: it drops 10 % of the classes at random, anew in each call, and scales by a weight of "100 times teacher and
student" whose form is in code that does not say it plainly. So this is the student part alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxies.base import NotApplicable, Proxy, Reference

if TYPE_CHECKING:
    from probe.network import Probe


ROUNDING = 1e-10
"""Derivatives below this share of the largest are 0 to rounding."""


@dataclass(frozen=True)
class AutoDASStudent(Proxy):
    """Sum over convolutions of 1 / (m + 1e-9), m = mean over weights of sigmoid(log |g|) = |g| / (1 + |g|).

    g = d (sum of all logits) / dW on a batch of ones, B equal images, in training mode: B times that of one image. The
    authors' code sets g to 1 where it is exactly 0, so that such an entry counts as 1/2: a dead convolution adds 2. In
    theirs rounding decides which of the entries that should be 0 are; here those are that are below 1e-10 of the
    network's largest, in float64.
    """

    name = "auto_das_student"
    family = "gradient"
    needs = ("forward", "weights")
    sees = "executed"
    reference = Reference(
        title="Auto-DAS: Automated Proxy Discovery for Training-free Distillation-aware Architecture Search",
        year=2024,
        arxiv="",
        bibtex="sun2024autodas",
    )

    def score(self, student: Probe, teacher: Probe) -> float:
        import torch

        parameters = {name: value.double() for name, value in student.parameters.items()}
        leaves = {name: parameters[name].requires_grad_() for name in student.weights}
        convolutions = [leaf for leaf in leaves.values() if leaf.ndim > 2]
        if not convolutions:
            raise NotApplicable("auto_das_student looks at convolutions, and this network has none")
        ones = torch.ones(1, *student.image_shape, dtype=torch.float64, device=student.images.device)
        with torch.enable_grad():
            total = student.run(ones, parameters=parameters).logits.sum()
            found = torch.autograd.grad(total, convolutions, materialize_grads=True)
        sizes = [len(student.images) * gradient.abs() for gradient in found]
        none = ROUNDING * max(size.max().item() for size in sizes)
        means = [torch.where(size <= none, 0.5, size / (1 + size)).mean() for size in sizes]
        return sum((1 / (mean + 1e-9)).item() for mean in means)
