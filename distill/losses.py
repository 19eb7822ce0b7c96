"""Distillation losses, one definition for training and for the proxies made from them.

Every loss is a pure function of the teacher's tensors and the student's, in that order, differentiable in the
student's. Notation: N images, K classes, C channels, maps [N, C, H, W], pooled features [N, C], logits [N, K]; _t for
the teacher, _s for the student; |X| the Frobenius norm; rows(X) divides each row by its L2 norm, zero rows stay zero.
What a loss has to learn beside the student (regressors, embeddings) is in distill/process/connectors.py.

`LOSSES` says by name what each function reads of the two networks and with which weights it was published.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import nn

from common.errors import unknown

# of logits
from distill.loss_terms import aligned, classifier_gradient, gram, radial, rows, same_size


def kd(teacher: torch.Tensor, student: torch.Tensor, temperature: float = 4.0) -> torch.Tensor:
    """T^2 times the batch mean of KL(softmax(teacher / T) || softmax(student / T)); logits [B, K]; nats.

    Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", 2015, arXiv 1503.02531, section 2.
    """
    return _divergence(teacher / temperature, student / temperature) * temperature**2


def _divergence(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """Mean over rows of KL(softmax(teacher) || softmax(student)), nats."""
    log_teacher = F.log_softmax(teacher, dim=1)
    log_student = F.log_softmax(student, dim=1)
    return F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)


def dkd(
    teacher: torch.Tensor,
    student: torch.Tensor,
    labels: torch.Tensor,
    alpha: float = 1.0,
    beta: float = 8.0,
    temperature: float = 4.0,
) -> torch.Tensor:
    """T^2 (alpha TCKD + beta NCKD), batch means in nats; logits [N, K], labels int64 [N].

    TCKD is the divergence between the two probabilities (label, not label), NCKD the one among the other classes.
    KD is TCKD + (1 - p_t) NCKD for each image, p_t the teacher's probability of the label.

    Zhao, Cui, Song, Qiu & Liang, "Decoupled Knowledge Distillation", CVPR 2022, arXiv 2203.08679, equations 6 and 7.
    beta 8 is mdistiller's default; for CIFAR-100 it lists 2 (ResNet pairs) and 6 (WRN-40-2 and VGG13), and lets the
    loss grow from 0 over the first 20 epochs.
    """
    binary_t, others_t = _label_and_others(teacher / temperature, labels)
    binary_s, others_s = _label_and_others(student / temperature, labels)
    return (alpha * _divergence(binary_t, binary_s) + beta * _divergence(others_t, others_s)) * temperature**2


def _label_and_others(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [N, 2] of the label and of all other classes together; logits [N, K - 1] of the others."""
    classes = logits.shape[1]
    own = logits.gather(1, labels[:, None])
    # counted on from the label: no mask, whose result has a shape that depends on values
    others = logits.gather(1, (labels[:, None] + torch.arange(1, classes, device=labels.device)) % classes)
    return torch.cat([own, others.logsumexp(1, keepdim=True)], dim=1), others


# of one map, or of pooled features


def fitnet(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """Mean over entries of (teacher - student)^2; maps [N, C, H, W], the student's after its regressor.

    Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015, arXiv 1412.6550, equation 3, with the mean in place
    of half the sum, as RepDistiller's weight 100 supposes. Of unequal sizes the larger map is pooled.
    """
    return F.mse_loss(*same_size(student, teacher))


def sp(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """1/N^2 |rows(A_t A_t^T) - rows(A_s A_s^T)|^2, A the map as [N, C H W]; widths and sizes may differ.

    Tung & Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019, arXiv 1907.09682, equation 4.
    """
    return (rows(gram(teacher)) - rows(gram(student))).square().mean()


def rkd(teacher: torch.Tensor, student: torch.Tensor, distance: float = 25.0, angle: float = 50.0) -> torch.Tensor:
    """25 rkd_distance + 50 rkd_angle; pooled features [N, C].

    The paper's sum of both potentials; the weights are RepDistiller's.
    """
    return distance * rkd_distance(teacher, student) + angle * rkd_angle(teacher, student)


def rkd_distance(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """Mean over N^2 pairs of huber(d_t(i, j) - d_s(i, j)), d Euclidean over the mean of the positive distances.

    huber(x) is x^2 / 2 up to |x| = 1 and |x| - 1/2 beyond; features [N, C], of any two widths. All distances zero: 0.

    Park, Kim, Lu & Cho, "Relational Knowledge Distillation", CVPR 2019, arXiv 1904.05068, section 3.2.1.
    """
    return F.smooth_l1_loss(_scaled_distances(student), _scaled_distances(teacher))


def rkd_angle(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """Mean over N^3 triplets of huber(a_t(i, j, k) - a_s(i, j, k)), a the cosine of the angle at i between j and k.

    Features [N, C], of any two widths; an angle with a side of length zero has cosine 0. Source as `rkd_distance`,
    section 3.2.2. Makes N^2 C and N^3 numbers.
    """
    sides_t, sides_s = rows(_differences(teacher)), rows(_differences(student))
    return F.smooth_l1_loss(sides_s @ sides_s.mT, sides_t @ sides_t.mT)


def _differences(features: torch.Tensor) -> torch.Tensor:
    """[N, N, C]: at [i, j] features j less features i."""
    return features[None] - features[:, None]


def _scaled_distances(features: torch.Tensor) -> torch.Tensor:
    # from differences, not from a Gram matrix: at distance 0 the gradient of a norm is 0, that of a root infinite
    distances = _differences(features).norm(dim=2)
    mean = distances.sum() / distances.count_nonzero().clamp(min=1)
    return distances / mean.where(mean > 0, 1)


def pkt(teacher: torch.Tensor, student: torch.Tensor, eps: float = 1e-7) -> torch.Tensor:
    """Mean over N^2 pairs of q_t log((q_t + eps) / (q_s + eps)); pooled features [N, C], of any two widths; nats.

    q(i, j) = (1 + cos(i, j)) / 2 over its sum over j: the probability of j as a neighbour of i.

    Passalis & Tefas, "Learning Deep Representations with Probabilistic Knowledge Transfer", ECCV 2018, arXiv
    1803.10837, with the cosine kernel; mean and eps as in RepDistiller, whose weight 30000 supposes them.
    """
    q_t, q_s = _neighbours(teacher), _neighbours(student)
    return (q_t * ((q_t + eps) / (q_s + eps)).log()).mean()


def _neighbours(features: torch.Tensor) -> torch.Tensor:
    similarity = (1 + gram(rows(features))) / 2
    return similarity / similarity.sum(dim=1, keepdim=True)


def cc(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """Mean over consecutive images n, n + 1 of sum_c d(n, c) d(n + 1, c), d = |teacher - student|; one image: 0.

    Embedded features [N, D]. Depends on the order of the batch; zero already where of any two neighbours one agrees.

    Named after Peng et al., "Correlation Congruence for Knowledge Distillation", ICCV 2019, arXiv 1904.01802. The
    formula is not the paper's, which compares kernels between images, but that of RepDistiller, which attributes it to
    the paper's author and whose weight .02 and printed accuracies belong to it.
    """
    distance = (teacher - student).abs()
    return (distance[:-1] * distance[1:]).sum() / max(len(distance) - 1, 1)


def ickd(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """1/(N C) sum_n |rows(F_tn F_tn^T) - rows(F_sn F_sn^T)|^2, F_n the map of image n as [C, H W].

    Maps of equal width (the student's after its embedding); sizes may differ.

    Liu et al., "Exploring Inter-Channel Correlation for Diversity-preserved Knowledge Distillation", ICCV 2021, arXiv
    2202.03680; form and weight 2.5 those of the authors' CIFAR-100 code.
    """
    channels_t, channels_s = (maps.flatten(2) for maps in (teacher, student))
    difference = rows(channels_t @ channels_t.mT) - rows(channels_s @ channels_s.mT)
    return difference.square().sum() / (teacher.shape[0] * teacher.shape[1])


# of the maps of several stages


def at(teacher: Sequence[torch.Tensor], student: Sequence[torch.Tensor], p: float = 2.0) -> torch.Tensor:
    """Sum over stages of the mean over entries of (rows(Q_t) - rows(Q_s))^2, Q = mean_c |A_c|^p as [N, H W].

    Maps of any two widths; of unequal sizes the larger map is average-pooled first.

    Zagoruyko & Komodakis, "Paying More Attention to Attention", ICLR 2017, arXiv 1612.03928, equation 2, squared and
    averaged as in RepDistiller, whose weight 1000 supposes it.
    """

    def attention(maps: torch.Tensor) -> torch.Tensor:
        return rows(maps.abs().pow(p).mean(dim=1).flatten(1))

    pairs = [same_size(t, s) for t, s in zip(teacher, student, strict=True)]
    return torch.stack([F.mse_loss(attention(s), attention(t)) for t, s in pairs]).sum()


def nst(teacher: Sequence[torch.Tensor], student: Sequence[torch.Tensor]) -> torch.Tensor:
    """Sum over stages of mean k(t, t') + mean k(s, s') - 2 mean k(t, s), k(x, y) = (x . y)^2.

    t, s the channels of an image as unit vectors over space; means over images and pairs of channels: the squared
    maximum mean discrepancy of two sets of channels. Widths may differ; of unequal sizes the larger map is pooled.

    Huang & Wang, "Like What You Like: Knowledge Distill via Neuron Selectivity Transfer", 2017, arXiv 1707.01219, with
    the polynomial kernel of degree 2, c = 0.
    """

    def kernel(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (x @ y.mT).square().mean()

    def discrepancy(maps_t: torch.Tensor, maps_s: torch.Tensor) -> torch.Tensor:
        t, s = (rows(maps.flatten(2)) for maps in same_size(maps_t, maps_s))
        return kernel(t, t) + kernel(s, s) - 2 * kernel(t, s)

    return torch.stack([discrepancy(t, s) for t, s in zip(teacher, student, strict=True)]).sum()


def kdsvd(teacher: Sequence[torch.Tensor], student: Sequence[torch.Tensor], count: int = 1) -> torch.Tensor:
    """Sum over successive stages of 1/N sum (exp(-(v_t - u_t)^2 / 8) - exp(-(v_s - u_s)^2 / 8))^2.

    v_t of one stage and u_t of the stage before are the teacher's top `count` right singular vectors of an image's map
    as [H W, C], times its singular values over their norm; v_s and u_s, of the student's top `count` + 3, those nearest
    to them by |cosine|, with their sign and the same factors. The inner sum is over images, vectors and all pairs of an
    entry of v and one of u. Maps of equal width stage by stage; sizes may differ.

    Lee, Kim & Song, "Self-supervised Knowledge Distillation Using Singular Value Decomposition", ECCV 2018, arXiv
    1807.06819, in RepDistiller's form. The sign of a singular vector is arbitrary but changes the value: here the
    teacher's entries sum to no less than 0. Vectors of the value 0 are arbitrary altogether: the student's maps need
    a rank of `count` + 3. Its weight in training, 1, is mdistiller's, where it weighs a function that is not this one.
    """
    stages = [aligned(t, s, count) for t, s in zip(teacher, student, strict=True)]
    losses = [
        (radial(v_t, u_t) - radial(v_s, u_s)).square().sum() / len(v_t) for (u_t, u_s), (v_t, v_s) in pairwise(stages)
    ]
    return torch.stack(losses).sum()


def vid(
    teacher: Sequence[torch.Tensor], mean: Sequence[torch.Tensor], log_variance: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Sum over stages of the mean over entries of 1/2 [(teacher - mean)^2 / variance + log variance].

    The teacher's maps as a Gaussian given the student's: mean [N, C, H, W] predicted from the student's maps, log
    variance [1, C, 1, 1] of each channel learned beside it. Least, at given variances, where mean is the teacher's map.

    Ahn, Hu, Damianou, Lawrence & Dai, "Variational Information Distillation for Knowledge Transfer", CVPR 2019, arXiv
    1904.05835, the negative log-likelihood of its variational bound, less the constant, averaged as in RepDistiller.
    """
    stages = zip(teacher, mean, log_variance, strict=True)
    return torch.stack([((t - m).square() * (-v).exp() + v).mean() / 2 for t, m, v in stages]).sum()


# DisWOT's metrics as losses: smooth where the metric is not


def semantic(
    teacher_logits: torch.Tensor,
    teacher_pooled: torch.Tensor,
    student_logits: torch.Tensor,
    student_pooled: torch.Tensor,
    labels: torch.Tensor,
) -> torch.Tensor:
    """Mean over the classes k present in the batch of 1 - cos(g_tk, g_sk), g = `classifier_gradient`; in [0, 2].

    Pooled features of equal width. Needs no second backward pass. A class whose gradient is zero has cosine 0.

    After M_s of Dong, Li & Wei, "DisWOT: Student Architecture Search for Distillation WithOut Training", CVPR 2023,
    arXiv 2303.15678. Its metric (`outer_rows_distance`) jumps where an entry changes sign, and is 2 C times this cosine
    distance where all signs agree. The paper adds it to CE and KL without a weight, and the code of DisWOT+ is not
    public: no published weight; 1 here.
    """
    g_t = classifier_gradient(teacher_logits, teacher_pooled, labels)
    g_s = classifier_gradient(student_logits, student_pooled, labels)
    present = F.one_hot(labels, g_s.shape[0]).amax(dim=0)
    return ((1 - (rows(g_t) * rows(g_s)).sum(dim=1)) * present).sum() / present.sum()


def relation(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """1/N^2 |rows(A_t A_t^T) - rows(A_s A_s^T)|^2, A the last map as [N, C H W]: the same function as `sp`.

    M_r of DisWOT (source as `semantic`) in the form of the authors' core code, which is smooth already. No published
    weight; 1 here, against 3000 of `sp`.
    """
    return sp(teacher, student)


class Observed(Protocol):
    """What a network shows of a batch: the output of a forward pass, or a probe."""

    @property
    def logits(self) -> torch.Tensor: ...
    @property
    def pooled(self) -> torch.Tensor: ...
    @property
    def features(self) -> Sequence[torch.Tensor]: ...


READS: dict[str, Callable[[Observed], torch.Tensor | tuple[torch.Tensor, ...]]] = {
    "logits": lambda observed: observed.logits,
    "pooled": lambda observed: observed.pooled,
    "last_map": lambda observed: observed.features[-1],
    "stage_maps": lambda observed: tuple(observed.features),
    # RepDistiller's hint layer 2 is the second of three stages
    "hint_map": lambda observed: observed.features[len(observed.features) // 2],
}
"""What a loss can read of a network, besides the batch's `labels`."""


@dataclass(frozen=True)
class Loss:
    """A distillation loss and the objective it was published in: r CE + a KD + b function, KD at temperature 4.

    `reads` names what `function` takes: first all of the teacher's (`READS`), then all of the student's, then `labels`
    if it reads them. Formula, paper and shapes are in the docstring of `function`.
    """

    name: str
    function: Callable[..., torch.Tensor]
    reads: tuple[str, ...]
    r: float = 1.0
    a: float = 0.0
    b: float = 1.0
    weights_from: str = "RepDistiller"
    """Whose published setting the weights are; empty: none is published."""

    def __call__(
        self,
        teacher: Observed,
        student: Observed,
        labels: torch.Tensor | None = None,
        connector: nn.Module | None = None,
    ) -> torch.Tensor:
        """The loss of what two networks showed of one batch, a scalar; `connector` as from `connectors`, if any."""
        read = [READS[what] for what in self.reads if what != "labels"]
        of_teacher, of_student = (tuple(each(observed) for each in read) for observed in (teacher, student))
        if connector is not None:
            of_teacher, of_student = connector(of_teacher, of_student)
        return self.function(*of_teacher, *of_student, *([labels] if "labels" in self.reads else []))


LOSSES = {
    loss.name: loss
    for loss in (
        Loss("kd", kd, ("logits",), r=0.1, a=0.9, b=0.0),  # it is the KD term itself
        Loss("dkd", dkd, ("logits", "labels"), weights_from="mdistiller"),
        Loss("fitnet", fitnet, ("hint_map",), b=100.0),
        Loss("at", at, ("stage_maps",), b=1000.0),
        Loss("sp", sp, ("last_map",), b=3000.0),
        Loss("cc", cc, ("pooled",), b=0.02),
        Loss("vid", vid, ("stage_maps",), b=1.0),
        Loss("rkd", rkd, ("pooled",), b=1.0),
        Loss("pkt", pkt, ("pooled",), b=30000.0),
        Loss("nst", nst, ("stage_maps",), b=50.0),
        Loss("ickd", ickd, ("last_map",), b=2.5, weights_from="ADLab-AutoDrive/ICKD"),
        Loss("kdsvd", kdsvd, ("stage_maps",), b=1.0, weights_from="mdistiller"),
        Loss("semantic", semantic, ("logits", "pooled", "labels"), a=1.0, weights_from=""),
        Loss("relation", relation, ("last_map",), a=1.0, weights_from=""),
    )
}
"""Losses by name. Which weights are a choice of ours is said in `weights_from` and in the function's docstring."""


def loss(name: str) -> Loss:
    """The loss of that name. Raises BadUsage with a suggestion where there is none."""
    if name not in LOSSES:
        raise unknown("distillation loss", name, LOSSES)
    return LOSSES[name]
