"""DisWOT: negative distances between a randomly initialised teacher and student (CVPR 2023, arXiv 2303.15678).

Notation: N images, K classes, C channels; last feature map A as N x CHW, pooled a as N x C; g_k row k of the gradient
of the classifier's weight; _t for the teacher, _s for the student; |X| the Frobenius norm; rows(X) divides each row by
its L2 norm (zero rows stay zero). Three sources state three different functions, kept apart by `variant`; one is ours:

paper     M_s = -| H_t/|H_t| - H_s/|H_s| |, H = G G^T over channels [C, C], G the class-weighted maps
          M_r = -| R_t/|R_t| - R_s/|R_s| |, R = A A^T over images [N, N]
readme    M_s = -1/(K C) sum_k | rows(g_tk g_tk^T) - rows(g_sk g_sk^T) |^2
          M_r = -1/N^2 | rows(R_t) - rows(R_s) |^2
released  M_s as in readme; both networks initialised from N(0, 1)
          M_r = -1/C^2 | rows(a_t1 a_t1^T) - rows(a_s1 a_s1^T) |^2, a_1 the pooled features of the first image
padded    M_s and M_r as in paper, H of the narrower network with zeros for the channels that the wider one has more

`paper`: the published formulas. G is the Grad-CAM map before its sum over channels: the gradient of the label's logit,
averaged over space, times the map; for a network whose logits are linear in pooled features that gradient is the
label's row of the classifier weight over the map's area, so no backward pass is needed. `readme`: the authors' core
code as published. `released`: their NAS-Bench-201 script as it runs, less its accidents of order (it accumulates the
teacher's gradient over students and draws another batch for each). docs/decisions/diswot.md compares the three.

M_s of the three compares channel with channel: NotApplicable where teacher and student differ in width. `padded` is for
students of any width: the channels that a network lacks are silent. Between equal widths it is `paper`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import unknown
from proxies.base import NotApplicable, Proxy, Reference
from proxies.kd import same_classes

if TYPE_CHECKING:
    from probe.network import Probe

PUBLISHED = ("paper", "readme", "released")
VARIANTS = (*PUBLISHED, "padded")

REFERENCE = Reference(
    title="DisWOT: Student Architecture Search for Distillation WithOut Training",
    year=2023,
    arxiv="2303.15678",
    bibtex="dong2023diswot",
    reported="Spearman .9138, Kendall .7398 (space not stated); Spearman .7236 in the table of KD-based proxies",
)


def semantic(student: Probe, teacher: Probe, variant: str) -> float:
    """M_s; except in `padded`, teacher and student must have equally many pooled channels."""
    from distill import loss_terms

    widths = teacher.pooled.shape[1], student.pooled.shape[1]
    if widths[0] != widths[1] and variant != "padded":
        raise NotApplicable(f"the teacher has {widths[0]} channels before the classifier, the student {widths[1]}")
    same_classes("diswot's semantic term", student, teacher)
    if variant in ("paper", "padded"):
        both = (teacher, student)
        if not all(_pools_its_map(each) for each in both):
            raise NotApplicable(
                "the `paper` semantic term is of classifiers that read the last map averaged over space"
            )
        maps = [loss_terms.class_weighted_maps(each.features[-1], each.classifier_weight, each.labels) for each in both]
        grams = [loss_terms.padded(loss_terms.gram(each), max(widths)) for each in maps]
        return -loss_terms.normalised_distance(*grams).item()
    distance = loss_terms.outer_rows_distance(teacher.classifier_gradient, student.classifier_gradient)
    return -distance.mean().item() / widths[0]


def _pools_its_map(probe: Probe) -> bool:
    """Whether the classifier reads the mean over the pixels of the last map."""
    mean = probe.features[-1].mean((2, 3))
    return mean.shape == probe.pooled.shape and bool(mean.allclose(probe.pooled, rtol=1e-3, atol=1e-5, equal_nan=True))


def relation(student: Probe, teacher: Probe, variant: str) -> float:
    """M_r."""
    from distill import loss_terms, losses

    if variant == "released":
        first = teacher.pooled[:1], student.pooled[:1]
        if first[0].shape != first[1].shape:
            raise NotApplicable("the `released` relation term compares channels: teacher and student differ in width")
        return -loss_terms.outer_rows_distance(*first).item() / first[0].shape[1] ** 2
    maps = teacher.features[-1], student.features[-1]
    if variant in ("paper", "padded"):
        return -loss_terms.normalised_distance(*map(loss_terms.gram, maps)).item()
    return -losses.relation(*maps).item()


@dataclass(frozen=True)
class _DisWOT(Proxy):
    """Fields and facts that the score and its two terms share. `released` always uses N(0, 1) initialisation."""

    family = "distillation"
    reference = REFERENCE
    needs = ("forward", "teacher")

    variant: str = "readme"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variant not in VARIANTS:
            raise unknown("variant of diswot", self.variant, VARIANTS)
        if self.variant == "released":
            object.__setattr__(self, "init", "gaussian")


@dataclass(frozen=True)
class DisWOT(_DisWOT):
    """M_s + M_r. In `readme` and `released` |M_r| is about a thousandth of |M_s|: the sum ranks as M_s does."""

    name = "diswot"
    least = 2

    def score(self, student: Probe, teacher: Probe) -> float:
        return semantic(student, teacher, self.variant) + relation(student, teacher, self.variant)


@dataclass(frozen=True)
class DisWOTSemantic(_DisWOT):
    """M_s alone."""

    name = "diswot_semantic"

    def score(self, student: Probe, teacher: Probe) -> float:
        return semantic(student, teacher, self.variant)


@dataclass(frozen=True)
class DisWOTRelation(_DisWOT):
    """M_r alone."""

    name = "diswot_relation"
    least = 2

    def score(self, student: Probe, teacher: Probe) -> float:
        return relation(student, teacher, self.variant)
