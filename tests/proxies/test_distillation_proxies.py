"""Losses as proxies: each is minus its formula, written in NumPy, of what the probes hold; teacher first."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from common.errors import BadUsage
from distill import loss_terms, losses
from distill.losses import LOSSES
from images.base import Batch
from probe.network import Probe
from proxies import distillation, registry
from proxies.base import NotApplicable, Proxy
from proxies.distillation import AT, DKD, KDSVD, PKT, RKD, FitNet
from proxies.diswot import DisWOTRelation, DisWOTSemantic
from proxies.testing import DEGENERATE, ORDINARY, make_batch
from spaces.draw import Draw
from spaces.nb201.cell import Cell
from spaces.nb201.network import CellNetwork
from spaces.nb201.skeleton import CellSkeleton

SKELETON = CellSkeleton(channels=4, cells_per_stage=1, classes=5, size=8)
TEACHER_SKELETON = CellSkeleton(channels=4, cells_per_stage=2, classes=5, size=8)
WIDER = CellSkeleton(channels=6, cells_per_stage=1, classes=5, size=8)
TEACHER_CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
NEEDS = ("forward", "teacher")
SKIPS = DEGENERATE[1]
CONNECTED = [*ORDINARY, SKIPS]
DISCONNECTED = [DEGENERATE[0], DEGENERATE[2]]

CLASSES = {cls.name: cls for cls in registry.proxies_in(distillation)}
SETTINGS = [
    "dkd",
    *(f"{name}:target={target}" for name, cls in CLASSES.items() for target in getattr(cls, "targets", ())),
]
every_setting = pytest.mark.parametrize("text", SETTINGS)


def seven() -> Batch:
    """Seven images, which name the first two of five classes twice."""
    return make_batch(7)


@cache
def observe(
    cell: str,
    skeleton: CellSkeleton = SKELETON,
    role: str = "",
    images: Callable[[], Batch] = seven,
    init: str = "default",
    exact: bool = True,
) -> Probe:
    """A float64 probe, one for all tests that ask for it."""
    shown = images()
    network = CellNetwork(Cell.parse(cell), skeleton, Draw(0, init, role=role, momentum=0.0))
    if exact:
        network, shown = network.double(), Batch(shown.images.double(), shown.labels, shown.hash)
    return Probe(network.cell, skeleton, lambda: network, lambda: shown, NEEDS)


def teacher(images: Callable[[], Batch] = seven, init: str = "default", exact: bool = True) -> Probe:
    return observe(TEACHER_CELL, TEACHER_SKELETON, "teacher ", images, init, exact)


def score(text: str, student: Probe, fixed: Probe) -> float:
    return registry.create(text).score(student, fixed)


# the formulas, written out

Array = Any


def unit_rows(values: Array) -> Array:
    norms = np.linalg.norm(values, axis=-1, keepdims=True)
    return np.divide(values, norms, out=np.zeros_like(values), where=norms > 0)


def huber(x: Array) -> Array:
    return np.where(abs(x) < 1, x**2 / 2, abs(x) - 0.5)


def softmax(values: Array) -> Array:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def flat(values: Array) -> Array:
    return values.reshape(len(values), -1)


def fitnet(t: Array, s: Array) -> float:
    return np.mean((t - s) ** 2)


def at(t: Array, s: Array, p: float = 2) -> float:
    attention = [[unit_rows(flat((abs(maps) ** p).mean(axis=1))) for maps in each] for each in (t, s)]
    return sum(np.mean((a - b) ** 2) for a, b in zip(*attention, strict=True))


def sp(t: Array, s: Array) -> float:
    similar = [unit_rows(flat(each) @ flat(each).T) for each in (t, s)]
    return np.mean((similar[0] - similar[1]) ** 2)


def rkd(t: Array, s: Array, distance: float = 25, angle: float = 50) -> float:
    sides = [flat(each)[None] - flat(each)[:, None] for each in (t, s)]
    lengths = [np.sqrt((each**2).sum(axis=2)) for each in sides]
    scaled = [each / each[each > 0].mean() if each.any() else each for each in lengths]
    cosines = [np.einsum("ijc,ikc->ijk", unit_rows(each), unit_rows(each)) for each in sides]
    return distance * huber(scaled[0] - scaled[1]).mean() + angle * huber(cosines[0] - cosines[1]).mean()


def pkt(t: Array, s: Array) -> float:
    similar = [(unit_rows(flat(each)) @ unit_rows(flat(each)).T + 1) / 2 for each in (t, s)]
    q_t, q_s = (each / each.sum(axis=1, keepdims=True) for each in similar)
    return np.mean(q_t * np.log((q_t + 1e-7) / (q_s + 1e-7)))


def cc(t: Array, s: Array) -> float:
    distance = abs(flat(t) - flat(s))
    return np.sum(distance[:-1] * distance[1:]) / max(len(distance) - 1, 1)


def nst(t: Array, s: Array) -> float:
    total = 0.0
    for maps in zip(t, s, strict=True):
        x, y = (unit_rows(each.reshape(*each.shape[:2], -1)) for each in maps)
        for sign, a, b in ((1, x, x), (1, y, y), (-2, x, y)):
            total += sign * np.mean(np.einsum("ncx,ndx->ncd", a, b) ** 2)
    return total


def ickd(t: Array, s: Array) -> float:
    channels = [np.einsum("nchw,ndhw->ncd", each, each) for each in (t, s)]
    return np.sum((unit_rows(channels[0]) - unit_rows(channels[1])) ** 2) / (len(t) * t.shape[1])


def kdsvd(t: Array, s: Array) -> float:
    """Image by image, with the singular value decomposition of the map itself."""
    total = 0.0
    for n in range(len(t[0])):
        pairs = []
        for of_t, of_s in zip(t, s, strict=True):
            v = np.linalg.svd(of_t[n].reshape(len(of_t[n]), -1).T)[2][0]
            v = -v if v.sum() < 0 else v
            w = max(np.linalg.svd(of_s[n].reshape(len(of_s[n]), -1).T)[2][:4], key=lambda each: abs(each @ v))
            pairs.append((v, w * np.sign(w @ v)))
        for now, before in zip(pairs[1:], pairs, strict=False):
            radial = [np.exp(-((v[:, None] - u) ** 2) / 8) for v, u in zip(now, before, strict=True)]
            total += np.sum((radial[0] - radial[1]) ** 2)
    return total / len(t[0])


def dkd(t: Array, s: Array, labels: Array, alpha: float = 1, beta: float = 8, temperature: float = 4) -> float:
    total = 0.0
    for label, p, q in zip(labels, softmax(t / temperature), softmax(s / temperature), strict=True):
        others = [np.delete(each, label) for each in (p, q)]
        binary = [np.array([each[label], 1 - each[label]]) for each in (p, q)]
        total += alpha * np.sum(binary[0] * np.log(binary[0] / binary[1]))
        p_hat, q_hat = (each / each.sum() for each in others)
        total += beta * np.sum(p_hat * np.log(p_hat / q_hat))
    return temperature**2 * total / len(labels)


FORMULAS: dict[str, Callable[..., float]] = {
    "fitnet": fitnet,
    "at": at,
    "sp": sp,
    "rkd": rkd,
    "pkt": pkt,
    "cc": cc,
    "nst": nst,
    "ickd": ickd,
    "kdsvd": kdsvd,
    "dkd": dkd,
}


def by_hand(probe: Probe) -> Array:
    """d cross-entropy / d classifier weight, class by class and image by image, as maps."""
    pooled, labels = probe.pooled.numpy(), probe.labels.numpy()
    residual = softmax(probe.logits.numpy())
    residual[range(len(labels)), labels] -= 1
    rows = [sum(r * a for r, a in zip(residual[:, k], pooled, strict=True)) / len(labels) for k in range(5)]
    return np.stack(rows)[:, :, None, None]


TARGETS: dict[str, Callable[[Probe], Array]] = {
    "pooled": lambda probe: probe.features[-1].numpy().mean(axis=(2, 3)),
    "last_map": lambda probe: probe.features[2].numpy(),
    "hint_map": lambda probe: probe.features[1].numpy(),
    "stage_maps": lambda probe: [maps.numpy() for maps in probe.features],
    "last_two_maps": lambda probe: [probe.features[1].numpy(), probe.features[2].numpy()],
    "classifier_gradient": by_hand,
}


def expected(text: str, student: Probe, fixed: Probe, **weights: float) -> float:
    name, _, target = text.partition(":target=")
    if name == "dkd":
        return -dkd(fixed.logits.numpy(), student.logits.numpy(), student.labels.numpy(), **weights)
    return -FORMULAS[name](TARGETS[target](fixed), TARGETS[target](student), **weights)


def test_every_proxy_of_the_file_has_a_formula_and_is_registered() -> None:
    assert FORMULAS.keys() == CLASSES.keys()
    assert CLASSES.items() <= registry.known().items()
    assert set(TARGETS) == {target for cls in CLASSES.values() for target in getattr(cls, "targets", ())}


@pytest.mark.slow
@every_setting
@pytest.mark.parametrize("init", ["default", "kaiming", "gaussian"])
def test_a_score_is_minus_its_formula_written_out(text: str, init: str) -> None:
    fixed = teacher(init=init)
    for cell in CONNECTED:
        student = observe(cell, init=init)
        found = score(f"{text}:init={init}", student, fixed)
        assert found == pytest.approx(expected(text, student, fixed), rel=1e-8)
        assert found < -1e-9


@every_setting
@pytest.mark.parametrize("cell", DISCONNECTED)
def test_a_student_that_shows_nothing_has_the_score_of_the_formula(text: str, cell: str) -> None:
    """Rows of zeros stay zero; singular vectors of zeros do not exist."""
    student, fixed = observe(cell), teacher()
    assert not any(maps.any() for maps in student.features)
    if text.startswith("kdsvd"):
        with pytest.raises(NotApplicable, match="a map of zeros"):
            score(text, student, fixed)
    else:
        assert score(text, student, fixed) == pytest.approx(expected(text, student, fixed), rel=1e-8)


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_kdsvd_takes_no_map_of_zeros_of_any_image_and_stage_it_reads(stage: int) -> None:
    student, fixed = made_up(1), made_up(2)
    student.features[stage][4] = 0
    with pytest.raises(NotApplicable, match="a map of zeros"):
        KDSVD().score(student, fixed)
    if stage == 0:
        assert math.isfinite(KDSVD(target="last_two_maps").score(student, fixed))


@every_setting
def test_float32_scores_are_the_float64_ones_to_a_ten_thousandth(text: str) -> None:
    exact = score(text, observe(ORDINARY[1]), teacher())
    single = score(text, observe(ORDINARY[1], exact=False), teacher(exact=False))
    assert single == pytest.approx(exact, rel=1e-4)


def test_pkt_of_nearly_equal_neighbours_is_not_the_rounding_of_float32() -> None:
    """At initialisation probabilities of neighbours differ by thousandths, and their divergence by millionths."""
    student, fixed = made_up(1), made_up(2)
    for probe in (student, fixed):
        probe.pooled = (1 + 0.01 * probe.pooled).float()
    assert PKT().score(student, fixed) == pytest.approx(
        -pkt(fixed.pooled.double().numpy(), student.pooled.double().numpy()), rel=1e-9
    )


# one definition


@pytest.mark.parametrize("name", CLASSES)
def test_the_loss_is_the_one_of_training_and_reads_what_training_reads(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First all of the teacher's, then all of the student's, then the labels, then the weights."""
    taken: list[Any] = []

    def stand_in(*arguments: Any) -> torch.Tensor:
        taken.extend(arguments)
        return torch.tensor(3.5)

    student, fixed = observe(ORDINARY[1]), teacher()
    monkeypatch.setattr(losses, name, stand_in)
    assert score(name, student, fixed) == -3.5
    reads = LOSSES[name].reads
    assert getattr(CLASSES[name], "targets", reads)[0] == reads[0]
    expected = [losses.READS[reads[0]](probe) for probe in (fixed, student)]
    assert len(reads) == 1 or (reads[1:] == ("labels",) and taken.pop(2) is student.labels)
    for found, should in zip(taken[:2], expected, strict=True):
        torch.testing.assert_close(found, should, rtol=0, atol=0)


def test_the_fields_are_the_published_weights_of_the_losses() -> None:
    """Arguments that are no weights are left alone: PKT's eps, KDSVD's number of vectors."""
    for name, cls in CLASSES.items():
        arguments = inspect.signature(LOSSES[name].function).parameters.values()
        weights = {each.name: each.default for each in arguments if each.default is not each.empty}
        values = {field.name: field.default for field in fields(cls) if field.name not in ("init", "target")}
        assert values == {weight: value for weight, value in weights.items() if weight not in ("eps", "count")}


@pytest.mark.slow
def test_sp_and_ickd_of_the_classifier_gradient_are_diswots_terms() -> None:
    for cell in [*CONNECTED, *DISCONNECTED]:
        student, fixed = observe(cell), teacher()
        assert score("sp", student, fixed) == DisWOTRelation().score(student, fixed)
        semantic = DisWOTSemantic().score(student, fixed)
        assert score("ickd:target=classifier_gradient", student, fixed) == pytest.approx(semantic, rel=1e-9)


# what the scores mean


@every_setting
@pytest.mark.parametrize("cell", CONNECTED)
def test_a_student_equal_to_its_teacher_has_the_best_score(text: str, cell: str) -> None:
    fixed = observe(cell)
    assert score(text, observe.__wrapped__(cell), fixed) == pytest.approx(0, abs=1e-12)
    for other in CONNECTED:
        if other != cell:
            assert score(text, observe(other), fixed) < -1e-9


ASYMMETRIC = ("dkd", "pkt", "kdsvd")
"""As in kd, what is expected is expected by the teacher, and the teacher's singular vectors are the ones met."""


@every_setting
def test_roles_matter_to_divergences_and_to_singular_vectors_only(text: str) -> None:
    student, fixed = observe(ORDINARY[1]), teacher()
    swapped = score(text, fixed, student)
    symmetric = not text.startswith(ASYMMETRIC)
    assert (swapped == pytest.approx(score(text, student, fixed), rel=1e-7)) == symmetric


def shown(maps: list[torch.Tensor], labels: torch.Tensor, logits: torch.Tensor) -> Any:
    pooled = maps[-1].mean((2, 3))
    gradient = loss_terms.classifier_gradient(logits, pooled, labels)
    return SimpleNamespace(features=maps, pooled=pooled, labels=labels, logits=logits, classifier_gradient=gradient)


def made_up(seed: int, widths: tuple[int, ...] = (3, 4, 5), images: int = 6) -> Any:
    generator = torch.Generator().manual_seed(seed)
    maps = [torch.rand(images, width, 4, 4, generator=generator, dtype=torch.float64) for width in widths]
    logits = torch.randn(images, 5, generator=generator, dtype=torch.float64)
    return shown(maps, torch.arange(images) % 5, logits)


def scaled(probe: Any, factor: float) -> Any:
    return shown([factor * maps for maps in probe.features], probe.labels, probe.logits)


@every_setting
def test_only_squared_and_absolute_distances_see_the_scale_of_the_students_maps(text: str) -> None:
    student, fixed = made_up(1), made_up(2)
    same = score(text, scaled(student, 3.0), fixed) == pytest.approx(score(text, student, fixed), rel=1e-9)
    assert same == (not text.startswith(("fitnet", "cc")))


def reordered(probe: Any, order: list[int]) -> Any:
    return shown([maps[order] for maps in probe.features], probe.labels[order], probe.logits[order])


@every_setting
def test_only_cc_depends_on_the_order_of_the_batch(text: str) -> None:
    student, fixed, order = made_up(1), made_up(2), [3, 0, 5, 1, 4, 2]
    found = score(text, reordered(student, order), reordered(fixed, order))
    assert (found == pytest.approx(score(text, student, fixed), rel=1e-9)) == (not text.startswith("cc"))


@every_setting
def test_what_is_not_finite_is_never_replaced(text: str) -> None:
    for value in (math.nan, math.inf):
        broken = made_up(1)
        for tensor in (*broken.features, broken.pooled, broken.logits, broken.classifier_gradient):
            tensor.view(-1)[0] = value
        assert not math.isfinite(score(text, broken, made_up(2)))


# degenerate batches


def one_class() -> Batch:
    batch = make_batch(6)
    return Batch(batch.images, torch.full((6,), 3), batch.hash)


def twins() -> Batch:
    """Two images that are the same one."""
    batch = make_batch(6)
    batch.images[1] = batch.images[0]
    return batch


def gray() -> Batch:
    """Images that are all alike, and alike everywhere."""
    batch = make_batch(6)
    return Batch(torch.ones_like(batch.images), batch.labels, batch.hash)


def zeros() -> Batch:
    """What a network without biases shows nothing of."""
    return make_batch(6, constant=True)


def one_image() -> Batch:
    return make_batch(1)


@pytest.mark.slow
@every_setting
@pytest.mark.parametrize("make", [one_image, one_class, twins, gray, zeros])
def test_a_degenerate_batch_has_the_score_of_the_formula(text: str, make: Callable[[], Batch]) -> None:
    for cell in [*CONNECTED, *DISCONNECTED]:
        student, fixed = observe(cell, images=make), teacher(make)
        if text.startswith("kdsvd") and (cell in DISCONNECTED or make is zeros):
            with pytest.raises(NotApplicable):
                score(text, student, fixed)
        else:
            found = score(text, student, fixed)
            assert math.isfinite(found)
            assert found == pytest.approx(expected(text, student, fixed), rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("text", [text for text in SETTINGS if text.startswith(("sp", "rkd", "pkt", "cc"))])
def test_one_image_has_no_relations(text: str) -> None:
    assert score(text, observe(ORDINARY[1], images=one_image), teacher(one_image)) == pytest.approx(0, abs=1e-12)


def test_dkd_of_a_single_class_is_not_a_number() -> None:
    student, fixed = (SimpleNamespace(logits=torch.ones(3, 1), labels=torch.zeros(3, dtype=torch.long)) for _ in "ab")
    probes: Any = (student, fixed)
    assert math.isnan(DKD().score(*probes))


def test_dkd_of_two_classes_has_one_other_and_is_the_binary_divergence() -> None:
    student, fixed = (made_up(seed) for seed in (1, 2))
    for probe in (student, fixed):
        probe.logits, probe.labels = probe.logits[:, :2], probe.labels % 2
    assert DKD().score(student, fixed) == pytest.approx(-losses.kd(fixed.logits, student.logits).item(), rel=1e-9)


# widths


@every_setting
def test_widths_may_differ_where_channels_are_not_compared(text: str) -> None:
    student, wide = observe(ORDINARY[1]), observe(ORDINARY[0], WIDER, "teacher ")
    if text.startswith(("fitnet", "cc", "ickd", "kdsvd")):
        with pytest.raises(NotApplicable, match=r"compares channels: the teacher has .*(12|24), the student .*(8|16)$"):
            score(text, student, wide)
    else:
        assert score(text, student, wide) == pytest.approx(expected(text, student, wide), rel=1e-8)


def test_the_message_names_the_widths_of_all_stages() -> None:
    with pytest.raises(NotApplicable, match="the teacher has 6, 12, 24, the student 4, 8, 16"):
        KDSVD().score(observe(ORDINARY[0]), observe(ORDINARY[0], WIDER))


# fields


@pytest.mark.parametrize(
    ("proxy", "weights"),
    [
        (AT(p=1.0), {"p": 1.0}),
        (RKD(distance=1.0, angle=0.0), {"distance": 1.0, "angle": 0.0}),
        (RKD(distance=0.0, angle=2.0), {"distance": 0.0, "angle": 2.0}),
        (DKD(alpha=0.0), {"alpha": 0.0}),
        (DKD(beta=2.0), {"beta": 2.0}),
        (DKD(temperature=1.0), {"temperature": 1.0}),
    ],
)
def test_a_weight_is_that_of_the_formula(proxy: Proxy, weights: dict[str, float]) -> None:
    student, fixed = observe(ORDINARY[1]), teacher()
    text = proxy.name if proxy.name == "dkd" else f"{proxy.name}:target={getattr(proxy, 'target', '')}"
    assert proxy.score(student, fixed) == pytest.approx(expected(text, student, fixed, **weights), rel=1e-8)
    assert proxy.score(student, fixed) != pytest.approx(score(text, student, fixed), rel=1e-4)


def test_the_targets_of_a_proxy_are_different_functions() -> None:
    student, fixed = observe(ORDINARY[1]), teacher()
    scores = [score(text, student, fixed) for text in SETTINGS]
    assert len({round(value, 12) for value in scores}) == len(SETTINGS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fitnet:target=poled", "unknown target of fitnet 'poled': did you mean 'pooled'"),
        ("fitnet:target=", "unknown target of fitnet ''"),
        ("at:target=pooled", "unknown target of at 'pooled'"),
        ("rkd:target=stage_maps", "unknown target of rkd"),
        ("ickd:target=pooled", "unknown target of ickd"),
        ("dkd:target=pooled", "unknown field of dkd 'target'"),
        ("pkt:init=kaimin", "did you mean 'kaiming'"),
        *((f"dkd:temperature={value}", "dkd: temperature must be positive") for value in ("0", "-1", "nan", "inf")),
        *((f"at:p={value}", "at: p must be positive and finite") for value in ("0", "-2", "nan", "inf")),
        *(
            (f"{field}={value}", "must be at least 0 and finite")
            for field in ("rkd:distance", "rkd:angle", "dkd:alpha", "dkd:beta")
            for value in ("-1", "nan", "inf")
        ),
    ],
)
def test_a_value_that_no_loss_takes_is_bad_usage(text: str, message: str) -> None:
    with pytest.raises(BadUsage, match=message):
        registry.create(text)


def test_a_label_names_the_target_that_is_not_trainings() -> None:
    assert FitNet().label == registry.create("fitnet:target=hint_map").label == "fitnet"
    assert FitNet(target="pooled").label == "fitnet:target=pooled"
    assert PKT().label == "pkt"


def test_the_correlations_reported_are_those_of_diswots_table() -> None:
    """In percent, Spearman; the table has no row for the others."""
    table = {"fitnet": "56.18", "sp": "51.24", "rkd": "25.71", "pkt": "52.65", "cc": "65.90", "nst": "72.35"}
    for name, cls in CLASSES.items():
        reported = f"Spearman .{table[name].replace('.', '')} " if name in table else ""
        assert cls.reference.reported.startswith(reported)
        assert bool(cls.reference.reported) == (name in table)
