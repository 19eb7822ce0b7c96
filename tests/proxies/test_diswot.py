"""DisWOT's closed forms equal the formulas written out: explicit matrices, NumPy, autograd, float64."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from common.errors import BadUsage
from distill.loss_terms import outer_rows_distance, rows
from images.base import Batch
from probe.network import Probe
from proxies.base import NotApplicable
from proxies.diswot import PUBLISHED, VARIANTS, DisWOT, DisWOTRelation, DisWOTSemantic
from proxies.testing import DEGENERATE, ORDINARY, make_batch
from spaces.draw import Draw
from spaces.nb201.cell import Cell
from spaces.nb201.network import CellNetwork
from spaces.nb201.skeleton import CellSkeleton

SKELETON = CellSkeleton(channels=4, cells_per_stage=1, classes=5, size=8)
TEACHER_SKELETON = CellSkeleton(channels=4, cells_per_stage=2, classes=5, size=8)
TEACHER_CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
NEEDS = ("forward", "teacher")
SKIPS = DEGENERATE[1]
CONNECTED = [*ORDINARY, SKIPS]
DISCONNECTED = [DEGENERATE[0], DEGENERATE[2]]


def observe(
    cell: str, skeleton: CellSkeleton = SKELETON, role: str = "", init: str = "default", images: int = 7
) -> Probe:
    """A float64 probe; five classes, of which seven images name the first two twice."""
    batch = make_batch(images)
    exact = Batch(batch.images.double(), batch.labels, batch.hash)
    network = CellNetwork(Cell.parse(cell), skeleton, Draw(0, init, role=role, momentum=0.0)).double()
    return Probe(network.cell, skeleton, lambda: network, lambda: exact, NEEDS)


def teacher(init: str = "default", images: int = 7) -> Probe:
    return observe(TEACHER_CELL, TEACHER_SKELETON, "teacher ", init, images)


# the formulas, written out


def row_normalised(matrix: np.ndarray) -> np.ndarray:
    result = np.zeros_like(matrix)
    for i, row in enumerate(matrix):
        if row.any():
            result[i] = row / math.sqrt(sum(value**2 for value in row))
    return result


def unit(matrix: np.ndarray) -> np.ndarray:
    return matrix / math.sqrt((matrix**2).sum())


def autograd_of(probe: Probe) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Classifier weight's gradient of the cross-entropy [K, C]; last map [N, C, H, W]; Grad-CAM's weights [N, C]."""
    network = probe._network
    maps: list[torch.Tensor] = []
    lastact = network.lastact
    assert isinstance(lastact, nn.Module)
    hook = lastact.register_forward_hook(lambda _module, _inputs, output: maps.append(output))
    logits = network(probe.images).logits
    hook.remove()
    weight = dict(network.named_parameters())["classifier.weight"]
    (gradient,) = torch.autograd.grad(cross_entropy(logits, probe.labels), weight, retain_graph=True)
    label_logits = logits[torch.arange(len(probe.labels)), probe.labels]
    (of_map,) = torch.autograd.grad(label_logits.sum(), maps[0])  # an image's logits depend on its own map only
    return gradient.numpy(), maps[0].detach().numpy(), of_map.mean((2, 3)).numpy()


def brute_semantic(student: Probe, teacher: Probe, variant: str) -> float:
    of = [autograd_of(probe) for probe in (teacher, student)]
    if variant in ("paper", "padded"):
        grams = []
        for _, maps, weights in of:
            N, C = maps.shape[:2]
            weighted = np.stack([[weights[n, c] * maps[n, c] for n in range(N)] for c in range(C)]).reshape(C, -1)
            grams.append(unit(weighted @ weighted.T))
        if variant == "padded":
            grams = [np.pad(gram, (0, max(map(len, grams)) - len(gram))) for gram in grams]
        return -float(np.linalg.norm(grams[0] - grams[1]))
    (g_t, _, _), (g_s, _, _) = of
    K, C = g_t.shape
    total = 0.0
    for k in range(K):
        difference = row_normalised(np.outer(g_t[k], g_t[k])) - row_normalised(np.outer(g_s[k], g_s[k]))
        assert difference.shape == (C, C)
        total += (difference**2).sum()
    return -total / (K * C)


def brute_relation(student: Probe, teacher: Probe, variant: str) -> float:
    maps = [autograd_of(probe)[1] for probe in (teacher, student)]
    if variant == "released":
        first = [each.mean((2, 3))[0] for each in maps]
        difference = row_normalised(np.outer(first[0], first[0])) - row_normalised(np.outer(first[1], first[1]))
        return -float((difference**2).sum()) / len(first[0]) ** 2
    flat = [each.reshape(len(each), -1) for each in maps]
    grams = [each @ each.T for each in flat]
    if variant in ("paper", "padded"):
        return -float(np.linalg.norm(unit(grams[0]) - unit(grams[1])))
    N = len(flat[0])
    return -float(((row_normalised(grams[0]) - row_normalised(grams[1])) ** 2).sum()) / N**2


@pytest.mark.slow
@pytest.mark.parametrize("init", ["default", "kaiming", "gaussian"])
@pytest.mark.parametrize("cell", CONNECTED)
@pytest.mark.parametrize("variant", VARIANTS)
def test_both_terms_and_their_sum_are_the_written_out_formulas(variant: str, cell: str, init: str) -> None:
    student, fixed = observe(cell, init=init), teacher(init)
    semantic, relation = brute_semantic(student, fixed, variant), brute_relation(student, fixed, variant)
    assert DisWOTSemantic(variant=variant).score(student, fixed) == pytest.approx(semantic, rel=1e-9)
    assert DisWOTRelation(variant=variant).score(student, fixed) == pytest.approx(relation, rel=1e-9)
    assert DisWOT(variant=variant).score(student, fixed) == pytest.approx(semantic + relation, rel=1e-9)
    assert semantic < -1e-3  # the terms are there to be compared
    assert relation < 0


def test_the_variants_are_different_functions() -> None:
    student, fixed = observe(ORDINARY[1]), teacher()
    relations = {variant: DisWOTRelation(variant=variant).score(student, fixed) for variant in VARIANTS}
    assert len({*relations.values()}) == 3
    assert relations["padded"] == relations["paper"]
    semantics = {variant: DisWOTSemantic(variant=variant).score(student, fixed) for variant in VARIANTS}
    assert semantics["readme"] == semantics["released"]
    assert semantics["padded"] == semantics["paper"] != semantics["readme"], "widths are equal here"


@pytest.mark.slow
@pytest.mark.parametrize("cell", DISCONNECTED)
def test_disconnected_cells_are_not_finite_in_paper_and_finite_in_readme_and_released(cell: str) -> None:
    """Features of zeros have no direction to compare as a whole; row by row, zero rows stay zero."""
    student, fixed = observe(cell), teacher()
    assert not student.features[-1].any()
    for proxy in (DisWOT, DisWOTSemantic, DisWOTRelation):
        assert math.isnan(proxy(variant="paper").score(student, fixed))
        assert math.isnan(proxy(variant="padded").score(student, fixed))
        for variant in ("readme", "released"):
            assert math.isfinite(proxy(variant=variant).score(student, fixed))
    for variant in ("readme", "released"):
        expected = brute_semantic(student, fixed, variant), brute_relation(student, fixed, variant)
        assert DisWOTSemantic(variant=variant).score(student, fixed) == pytest.approx(expected[0], rel=1e-9)
        assert DisWOTRelation(variant=variant).score(student, fixed) == pytest.approx(expected[1], rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("cell", CONNECTED)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_student_equal_to_its_teacher_scores_zero(variant: str, cell: str) -> None:
    student, twin = observe(cell), observe(cell)
    assert DisWOT(variant=variant).score(student, twin) == pytest.approx(0, abs=1e-12)
    assert DisWOT(variant=variant).score(student, teacher()) < -1e-3


@pytest.mark.slow
@pytest.mark.parametrize("init", ["default", "gaussian"])
@pytest.mark.parametrize("cell", CONNECTED)
def test_terms_keep_their_ranges(cell: str, init: str) -> None:
    """paper: two unit Gram matrices have a non-negative inner product, so their distance is at most sqrt(2).
    readme, released M_r: unit rows without negative entries are sqrt(2) apart at most, N of them over N^2 (C over C^2).
    M_s: see `test_outer_rows_distance...`, at most 4 C - 4 a class, over C.
    """
    student, fixed = observe(cell, init=init), teacher(init)
    N, C = len(student.labels), SKELETON.width
    for proxy in (DisWOTSemantic(variant="paper"), DisWOTRelation(variant="paper")):
        assert -math.sqrt(2) <= proxy.score(student, fixed) < 0
    assert -2 / N <= DisWOTRelation(variant="readme").score(student, fixed) < 0
    assert -2 / C <= DisWOTRelation(variant="released").score(student, fixed) < 0
    assert -4 * (1 - 1 / C) <= DisWOTSemantic(variant="readme").score(student, fixed) < 0


# the closed form for rank-one matrices

entries = st.integers(-6, 6).map(lambda k: k / 4)


@pytest.mark.slow
@settings(max_examples=200)
@given(
    st.integers(1, 7).flatmap(
        lambda C: st.lists(
            st.tuples(*[st.lists(entries, min_size=C, max_size=C)] * 2),
            min_size=1,
            max_size=4,
        )
    )
)
def test_outer_rows_distance_is_that_of_explicit_matrices_and_at_most_4c_minus_4(pairs: list[Any]) -> None:
    """For distance 4 C, cosine 1 would have to meet disagreement in every sign: one sign at least agrees."""
    t = torch.tensor([pair[0] for pair in pairs], dtype=torch.float64)
    s = torch.tensor([pair[1] for pair in pairs], dtype=torch.float64)
    found = outer_rows_distance(t, s).numpy()
    for k, (a, b) in enumerate(zip(t.numpy(), s.numpy(), strict=True)):
        difference = row_normalised(np.outer(a, a)) - row_normalised(np.outer(b, b))
        assert found[k] == pytest.approx((difference**2).sum(), abs=1e-12)
    C = t.shape[1]
    assert (found >= -1e-12).all()
    assert (found <= max(C, 4 * C - 4) + 1e-12).all()


def test_the_lower_end_of_the_semantic_range_is_approached() -> None:
    t = torch.full((1, 8), 1e-6, dtype=torch.float64)
    t[0, 0] = 1
    s = -t
    s[0, 0] = 1
    assert outer_rows_distance(t, s).item() == pytest.approx(4 * 8 - 4, rel=1e-9)


def test_outer_rows_distance_does_not_see_sign_and_scale_of_a_gradient() -> None:
    g = torch.randn(5, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scale = torch.tensor([[2.0], [-1.0], [-0.25], [1e-6], [1e6]], dtype=torch.float64)
    torch.testing.assert_close(outer_rows_distance(g, scale * g), torch.zeros(5, dtype=torch.float64))


def test_rows_have_unit_length_and_zero_rows_stay_zero() -> None:
    matrix = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1e-15, 0.0]], dtype=torch.float64)
    expected = torch.tensor([[0.6, 0.8], [0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(rows(matrix), expected)


@pytest.mark.slow
def test_classes_absent_from_the_batch_count_in_the_semantic_mean() -> None:
    """Two images name two of five classes; the reference divides by K C whatever the batch names."""
    student, fixed = observe(ORDINARY[0], images=2), teacher(images=2)
    score = DisWOTSemantic(variant="readme").score(student, fixed)
    assert score == pytest.approx(brute_semantic(student, fixed, "readme"), rel=1e-9)


@pytest.mark.slow
def test_float32_scores_are_the_float64_ones_to_a_thousandth() -> None:
    batch = make_batch(7)
    for variant in VARIANTS:
        for proxy in (DisWOTSemantic(variant=variant), DisWOTRelation(variant=variant)):
            exact = proxy.score(observe(ORDINARY[1]), teacher())
            student, fixed = observe(ORDINARY[1]), teacher()
            for probe in (student, fixed):
                probe._network.float()
                probe.load = lambda: batch
            assert proxy.score(student, fixed) == pytest.approx(exact, rel=1e-3)


# what it refuses

WIDER = CellSkeleton(channels=8, cells_per_stage=1, classes=5, size=8)


@pytest.mark.slow
@pytest.mark.parametrize("variant", PUBLISHED)
def test_channels_of_unequal_number_cannot_be_compared(variant: str) -> None:
    student, wide = observe(ORDINARY[0]), observe(ORDINARY[0], WIDER, "teacher ")
    for proxy in (DisWOT(variant=variant), DisWOTSemantic(variant=variant)):
        with pytest.raises(NotApplicable, match=r"teacher has 32 channels .* student 16"):
            proxy.score(student, wide)


@pytest.mark.slow
def test_padded_channels_compare_any_widths() -> None:
    student, wide = observe(ORDINARY[0]), observe(ORDINARY[0], WIDER, "teacher ")
    expected = brute_semantic(student, wide, "padded"), brute_relation(student, wide, "padded")
    assert DisWOTSemantic(variant="padded").score(student, wide) == pytest.approx(expected[0], rel=1e-9)
    assert DisWOT(variant="padded").score(student, wide) == pytest.approx(sum(expected), rel=1e-9)
    assert DisWOTSemantic(variant="padded").score(wide, student) == pytest.approx(expected[0], rel=1e-9)
    assert -math.sqrt(2) <= expected[0] < 0


@pytest.mark.slow
def test_the_relation_of_images_does_not_depend_on_the_teachers_width_except_in_released() -> None:
    student, wide = observe(ORDINARY[0]), observe(ORDINARY[0], WIDER, "teacher ")
    for variant in ("paper", "readme", "padded"):
        score = DisWOTRelation(variant=variant).score(student, wide)
        assert score == pytest.approx(brute_relation(student, wide, variant), rel=1e-9)
    with pytest.raises(NotApplicable, match="released"):
        DisWOTRelation(variant="released").score(student, wide)


@pytest.mark.parametrize("proxy", [DisWOT, DisWOTSemantic, DisWOTRelation])
def test_released_always_draws_from_a_standard_normal(proxy: type[DisWOT]) -> None:
    assert proxy(variant="released").init == "gaussian"
    assert proxy(variant="released", init="kaiming").init == "gaussian"
    assert proxy(variant="paper", init="kaiming").init == "kaiming"
    assert proxy().init == "default"
    assert proxy().variant == "readme"


@pytest.mark.parametrize("proxy", [DisWOT, DisWOTSemantic, DisWOTRelation])
def test_an_unknown_variant_is_bad_usage_with_a_suggestion(proxy: type[DisWOT]) -> None:
    with pytest.raises(BadUsage, match="'papr': did you mean 'paper'"):
        proxy(variant="papr")


def test_released_reads_the_first_image_only() -> None:
    """Its relation term, given the probe's numbers: other images change nothing, the first one does."""
    generator = torch.Generator().manual_seed(0)
    pooled = [torch.rand(4, 6, generator=generator, dtype=torch.float64) for _ in range(2)]

    def score(student: torch.Tensor) -> float:
        probes: Any = [SimpleNamespace(pooled=student), SimpleNamespace(pooled=pooled[1])]
        return DisWOTRelation(variant="released").score(*probes)

    others, first = pooled[0].clone(), pooled[0].clone()
    others[1:] += 1
    first[0, 0] += 1
    assert score(others) == score(pooled[0])
    assert score(first) != score(pooled[0])
