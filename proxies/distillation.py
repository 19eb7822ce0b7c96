"""Distillation losses at random initialisation as proxies, -loss(teacher, student): DisWOT's KD-based ones (CVPR 2023).

The losses are those of training, `distill.losses`, where the formulas and their sources stand; `kd` has its own file.
Notation: C channels, maps [N, C, H, W], pooled features [N, C]. `target` says what is read of both networks:

pooled               the last map averaged over space
last_map             the last map, after its batch norm and ReLU
hint_map             the map of the second of three stages
stage_maps           the maps of all stages
last_two_maps        those of the last two stages
classifier_gradient  d loss / d classifier weight, the row of each of K classes as a map: [K, C, 1, 1]

The default is what training reads. Where the code that DisWOT's authors released reads something else, that is a target
too: `fitnet:target=pooled`; `at`, `nst`, `kdsvd:target=last_two_maps`; `ickd:target=classifier_gradient`, which is
`diswot_semantic`. Its `sp` compares channels of the first image; here `sp` compares images, and is `diswot_relation`.
It hands student and teacher to each loss the other way round, which changes kd, pkt and kdsvd: here, as in training,
the teacher comes first.

Students are as wide as the teacher, so nothing learned stands between them: no regressor of FitNet and ICKD, no
embedding of CC. Where widths differ, the losses that compare channel with channel are NotApplicable. VID is no proxy:
its loss is that of a learned regressor, which has learned nothing yet. With random weights it would judge that draw;
with the identity in its place it is a sum of squared distances of maps, as `fitnet` is.

On one image sp, rkd, pkt and cc, which relate images, are 0 for every student.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from common.errors import BadUsage, unknown
from proxies.base import NotApplicable, Proxy, Reference
from proxies.kd import same_classes

if TYPE_CHECKING:
    import torch

    from probe.network import Probe

_READS: dict[str, Callable[[Probe], Any]] = {
    "last_two_maps": lambda probe: tuple(probe.features[-2:]),
    "classifier_gradient": lambda probe: probe.classifier_gradient[:, :, None, None],
}
"""What a proxy can read besides the targets of training, `distill.losses.READS`."""


def _check(proxy: Proxy, *names: str, zero: bool = False) -> None:
    """Raise BadUsage where a field is not positive (or zero, if that will do) and finite."""
    for name in names:
        value = getattr(proxy, name)
        if not (0 < value < math.inf or (zero and value == 0)):
            least = "at least 0" if zero else "positive"
            raise BadUsage(f"{proxy.name}: {name} must be {least} and finite, not {value}")


@dataclass(frozen=True)
class _Loss(Proxy):
    """-loss(teacher, student) of what the target reads of both."""

    family = "distillation"
    needs = ("forward", "teacher")
    targets: ClassVar[tuple[str, ...]] = ("pooled", "last_map")
    """What the loss can compare; the first is what training reads."""
    any_width = False
    """Whether the loss is defined between networks of unequal widths."""

    target: str = "pooled"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.target not in self.targets:
            raise unknown(f"target of {self.name}", self.target, self.targets)

    @abstractmethod
    def loss(self, teacher: Any, student: Any) -> torch.Tensor:
        """The loss, a scalar, of what was read: a tensor of each network, or a tuple of maps."""

    def score(self, student: Probe, teacher: Probe) -> float:
        from distill.losses import READS

        read = {**READS, **_READS}[self.target]
        of_teacher, of_student = read(teacher), read(student)
        if isinstance(of_teacher, tuple) and len(of_teacher) != len(of_student):
            raise NotApplicable(
                f"{self.name} compares stage with stage: the teacher has {len(of_teacher)}, the student "
                f"{len(of_student)}; name as many"
            )
        if self.target == "classifier_gradient":
            same_classes(self.name, student, teacher)
        widths = _widths(of_teacher), _widths(of_student)
        if widths[0] != widths[1] and not self.any_width:
            raise NotApplicable(f"{self.name} compares channels: the teacher has {widths[0]}, the student {widths[1]}")
        return -self.loss(of_teacher, of_student).item()


def _widths(observed: torch.Tensor | tuple[torch.Tensor, ...]) -> str:
    """The channels of what was read of a network: `16, 32, 64`."""
    return ", ".join(str(each.shape[1]) for each in (observed if isinstance(observed, tuple) else (observed,)))


@dataclass(frozen=True)
class FitNet(_Loss):
    """-mean (teacher - student)^2 over the entries of the target."""

    name = "fitnet"
    targets = ("hint_map", "last_map", "pooled")
    reference = Reference(
        title="FitNets: Hints for Thin Deep Nets",
        year=2015,
        arxiv="1412.6550",
        bibtex="romero2015fitnets",
        reported="Spearman .5618 in DisWOT's table of KD-based proxies",
    )

    target: str = "hint_map"

    def loss(self, teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
        from distill.losses import fitnet

        return fitnet(teacher, student)


@dataclass(frozen=True)
class AT(_Loss):
    """Attention transfer: minus the distance of |A|^p averaged over channels and brought to unit length, by stages."""

    name = "at"
    targets = ("stage_maps", "last_two_maps")
    any_width = True
    reference = Reference(
        title="Paying More Attention to Attention: Improving the Performance of Convolutional Neural Networks via "
        "Attention Transfer",
        year=2017,
        arxiv="1612.03928",
        bibtex="zagoruyko2017paying",
    )

    target: str = "stage_maps"
    p: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, "p")

    def loss(self, teacher: tuple[torch.Tensor, ...], student: tuple[torch.Tensor, ...]) -> torch.Tensor:
        from distill.losses import at

        return at(teacher, student, self.p)


@dataclass(frozen=True)
class SP(_Loss):
    """-1/N^2 |rows(A_t A_t^T) - rows(A_s A_s^T)|^2, A the target as [N, everything else]; rows of unit length."""

    name = "sp"
    least = 2
    targets = ("last_map", "pooled")
    any_width = True
    reference = Reference(
        title="Similarity-Preserving Knowledge Distillation",
        year=2019,
        arxiv="1907.09682",
        bibtex="tung2019similarity",
        reported="Spearman .5124 in DisWOT's table of KD-based proxies",
    )

    target: str = "last_map"

    def loss(self, teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
        from distill.losses import sp

        return sp(teacher, student)


@dataclass(frozen=True)
class RKD(_Loss):
    """-(distance times the loss of scaled distances between images + angle times that of the angles of triplets).

    On `last_map` it makes the differences [N, N, C H W], which takes about as long as the network itself.
    """

    name = "rkd"
    least = 3
    any_width = True
    reference = Reference(
        title="Relational Knowledge Distillation",
        year=2019,
        arxiv="1904.05068",
        bibtex="park2019relational",
        reported="Spearman .2571 in DisWOT's table of KD-based proxies",
    )

    distance: float = 25.0
    angle: float = 50.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, "distance", "angle", zero=True)

    def loss(self, teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
        from distill.losses import rkd

        return rkd(teacher.flatten(1), student.flatten(1), self.distance, self.angle)


@dataclass(frozen=True)
class PKT(_Loss):
    """-mean over pairs of images of q_t log(q_t / q_s), q the cosine similarities as probabilities of neighbours."""

    name = "pkt"
    least = 2
    any_width = True
    reference = Reference(
        title="Learning Deep Representations with Probabilistic Knowledge Transfer",
        year=2018,
        arxiv="1803.10837",
        bibtex="passalis2018learning",
        reported="Spearman .5265 in DisWOT's table of KD-based proxies",
    )

    def loss(self, teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
        from distill.losses import pkt

        # the divergence of nearly equal probabilities: summed in float32 it is off by up to a thousandth
        return pkt(teacher.flatten(1).double(), student.flatten(1).double())


@dataclass(frozen=True)
class CC(_Loss):
    """-mean over consecutive images n, n + 1 of sum_c d(n, c) d(n + 1, c), d = |teacher - student|.

    Depends on the order of the batch.
    """

    name = "cc"
    least = 2
    reference = Reference(
        title="Correlation Congruence for Knowledge Distillation",
        year=2019,
        arxiv="1904.01802",
        bibtex="peng2019correlation",
        reported="Spearman .6590 in DisWOT's table of KD-based proxies",
    )

    def loss(self, teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
        from distill.loss_terms import same_size
        from distill.losses import cc

        return cc(*(target.flatten(1) for target in same_size(teacher, student)))


@dataclass(frozen=True)
class NST(_Loss):
    """Minus the squared maximum mean discrepancy of the channels, as unit vectors over space, by stages."""

    name = "nst"
    targets = ("stage_maps", "last_two_maps")
    any_width = True
    reference = Reference(
        title="Like What You Like: Knowledge Distill via Neuron Selectivity Transfer",
        year=2017,
        arxiv="1707.01219",
        bibtex="huang2017like",
        reported="Spearman .7235 in DisWOT's table of KD-based proxies",
    )

    target: str = "stage_maps"

    def loss(self, teacher: tuple[torch.Tensor, ...], student: tuple[torch.Tensor, ...]) -> torch.Tensor:
        from distill.losses import nst

        return nst(teacher, student)


@dataclass(frozen=True)
class ICKD(_Loss):
    """-1/(N C) sum_n |rows(F_tn F_tn^T) - rows(F_sn F_sn^T)|^2, F_n the map of image n as [C, H W]."""

    name = "ickd"
    targets = ("last_map", "classifier_gradient")
    reference = Reference(
        title="Exploring Inter-Channel Correlation for Diversity-preserved Knowledge Distillation",
        year=2021,
        arxiv="2202.03680",
        bibtex="liu2021exploring",
    )

    target: str = "last_map"

    def loss(self, teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
        from distill.losses import ickd

        return ickd(teacher, student)


@dataclass(frozen=True)
class KDSVD(_Loss):
    """Minus the distance of the radial functions between the first singular vectors of successive stages.

    NotApplicable where a map of the student's is zero: it has no singular vectors.
    """

    name = "kdsvd"
    targets = ("stage_maps", "last_two_maps")
    reference = Reference(
        title="Self-supervised Knowledge Distillation Using Singular Value Decomposition",
        year=2018,
        arxiv="1807.06819",
        bibtex="lee2018self",
    )

    target: str = "stage_maps"

    def loss(self, teacher: tuple[torch.Tensor, ...], student: tuple[torch.Tensor, ...]) -> torch.Tensor:
        from distill.losses import kdsvd

        if len(student) < 2:
            raise NotApplicable("kdsvd compares one stage with the next, and there is one alone")
        if not all(maps.flatten(1).any(dim=1).all() for maps in student):
            raise NotApplicable("kdsvd: a map of zeros has no singular vectors")
        return kdsvd(teacher, student)


@dataclass(frozen=True)
class DKD(Proxy):
    """-T^2 (alpha TCKD + beta NCKD) of the logits: the divergences of (label, not label) and among the other classes.

    NaN where there is one class: no other to compare.
    """

    name = "dkd"
    family = "distillation"
    needs = ("forward", "teacher")
    reference = Reference(
        title="Decoupled Knowledge Distillation",
        year=2022,
        arxiv="2203.08679",
        bibtex="zhao2022decoupled",
    )

    alpha: float = 1.0
    beta: float = 8.0
    temperature: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, "alpha", "beta", zero=True)
        _check(self, "temperature")

    def score(self, student: Probe, teacher: Probe) -> float:
        from distill.losses import dkd

        same_classes(self.name, student, teacher)
        return -dkd(teacher.logits, student.logits, student.labels, self.alpha, self.beta, self.temperature).item()
