"""CKA and the comparisons of tangent kernels, against the original networks, one image and one tuple at a time."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from common.errors import BadUsage
from images.base import Batch
from probe.network import Probe
from proxies import registry
from proxies.base import NotApplicable
from proxies.cka import unbiased_hsic
from proxies.testing import DEGENERATE, ORDINARY, SKELETON, TEACHER, TEACHER_SKELETON, check_proxy, make_batch
from spaces.draw import Draw
from spaces.nb201.cell import Cell, cells
from spaces.nb201.network import CellNetwork
from spaces.nb201.skeleton import CellSkeleton
from spaces.nb201.xautodl_backbone import XautodlNetwork

pytestmark = pytest.mark.slow

EMPTY, IDENTITY, CUT = DEGENERATE
DEAD = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
SAMPLE = [*ORDINARY, IDENTITY, DEAD, *(str(cells()[index]) for index in (777, 4321, 9999, 15000))]
NAMES = ("cka", "ntk_alignment", "ntk_distance")


def exact(size: int = 6) -> Batch:
    batch = make_batch(size)
    return Batch(batch.images.double(), batch.labels, "")


def probe(cell: str, skeleton: CellSkeleton, role: str, text: str, batch: Batch) -> Probe:
    proxy = registry.create(text)
    network = CellNetwork(Cell.parse(cell), skeleton, Draw(0, proxy.init, role=role, momentum=0.0), proxy.sees).double()
    return Probe(network.cell, skeleton, lambda: network, lambda: batch, proxy.needs)


def score(text: str, cell: str, batch: Batch | None = None) -> float:
    batch = batch or exact()
    student, teacher = probe(cell, SKELETON, "", text, batch), probe(TEACHER, TEACHER_SKELETON, "teacher ", text, batch)
    return registry.create(text).score(student, teacher)


def originals(cell: str) -> tuple[nn.Module, nn.Module]:
    """xautodl's teacher and student with the same weights."""
    pytest.importorskip("xautodl.models.cell_infers.tiny_network", reason="xautodl is not installed")
    teacher = XautodlNetwork(Cell.parse(TEACHER), TEACHER_SKELETON, Draw(0, role="teacher ", momentum=0.0))
    return teacher.inner.double(), XautodlNetwork(Cell.parse(cell), SKELETON, Draw(0, momentum=0.0)).inner.double()


def of_four(K: np.ndarray, L: np.ndarray) -> float:
    """HSIC as a U-statistic: the mean over all ordered tuples of four different images."""
    tuples = list(itertools.permutations(range(len(K)), 4))
    return sum(K[i, j] * (L[i, j] + L[q, r] - 2 * L[i, q]) for i, j, q, r in tuples) / len(tuples)


def test_the_estimate_is_the_u_statistic() -> None:
    rng = np.random.default_rng(0)
    K, L = (features @ features.T for features in rng.normal(size=(2, 7, 3)))
    assert unbiased_hsic(torch.tensor(K), torch.tensor(L)).item() == pytest.approx(of_four(K, L), rel=1e-9)


@pytest.mark.parametrize("cell", SAMPLE)
def test_cka_is_that_of_the_original_networks_pooled_features(cell: str) -> None:
    kernels = []
    for network in originals(cell):
        pooled = network(exact().images)[0].detach().numpy()
        kernels.append(pooled @ pooled.T)
    K, L = kernels
    assert score("cka", cell) == pytest.approx(of_four(K, L) / math.sqrt(of_four(K, K) * of_four(L, L)), rel=1e-6)


def rows(network: nn.Module, images: torch.Tensor, logits: range | None = None) -> np.ndarray:
    """The gradient of each image's sum of logits, or of some of them, in all weights."""
    found = []
    for n in range(len(images)):
        network.zero_grad()
        outputs = network(images)[1][n]
        (outputs if logits is None else outputs[list(logits)]).sum().backward()
        named = dict(network.named_parameters())
        parts = [named[name].grad for name in sorted(named) if "weight" in name]
        found.append(np.concatenate([part.flatten().numpy() for part in parts if part is not None]))
    return np.stack(found)


def kernel(network: nn.Module, of: str) -> np.ndarray:
    images = exact().images
    parts = [None] if of == "sum" else [range(k, k + 1) for k in range(SKELETON.classes)]
    each = [rows(network, images, part) for part in parts]
    return sum(one @ one.T for one in each)


@pytest.mark.parametrize(("cell", "of"), [*((cell, "sum") for cell in SAMPLE), (ORDINARY[1], "classes")])
def test_alignment_and_distance_are_those_of_the_original_networks_gradients(cell: str, of: str) -> None:
    K, L = (kernel(network, of) for network in originals(cell))
    H = np.eye(6) - 1 / 6
    centred = [H @ one @ H for one in (K, L)]
    alignment = np.trace(centred[0] @ centred[1]) / np.prod([math.sqrt((one**2).sum()) for one in centred])
    distance = math.sqrt(((K / math.sqrt((K**2).sum()) - L / math.sqrt((L**2).sum())) ** 2).sum())
    assert score(f"ntk_alignment:of={of}", cell) == pytest.approx(alignment, rel=1e-6)
    assert score(f"ntk_distance:of={of}", cell) == pytest.approx(-distance, rel=1e-6)


@pytest.mark.parametrize(("name", "best"), [("cka", 1), ("ntk_alignment", 1), ("ntk_distance", 0)])
def test_a_student_that_is_its_teacher_is_best(name: str, best: float) -> None:
    teacher = probe(TEACHER, TEACHER_SKELETON, "teacher ", name, exact())
    assert registry.create(name).score(teacher, teacher) == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_labels_are_not_read(name: str) -> None:
    batch = exact()
    assert score(name, ORDINARY[1], Batch(batch.images, batch.labels.roll(1), "")) == score(name, ORDINARY[1])


@pytest.mark.parametrize("name", ["ntk_alignment", "ntk_distance"])
def test_the_first_images_are_taken(name: str) -> None:
    batch = exact(20)
    sixteen = Batch(batch.images[:16], batch.labels[:16], "")
    assert score(name, ORDINARY[1], batch) == score(name, ORDINARY[1], sixteen)
    assert score(f"{name}:images=4", ORDINARY[1], batch) != score(name, ORDINARY[1], batch)


@pytest.mark.parametrize("cell", [EMPTY, CUT])
def test_without_a_path_there_is_nothing_to_align(cell: str) -> None:
    assert math.isnan(score("ntk_alignment", cell))
    assert math.isnan(score("cka", cell))


def test_three_images_are_too_few_for_the_estimate() -> None:
    with pytest.raises(NotApplicable, match="takes 4 images or more, not 3"):
        score("cka", ORDINARY[0], exact(3))


@pytest.mark.parametrize(("text", "message"), [("of=class", "did you mean 'classes'"), ("images=0", "at least 1")])
def test_wrong_fields_are_refused(text: str, message: str) -> None:
    with pytest.raises(BadUsage, match=message):
        registry.create(f"ntk_distance:{text}")


@pytest.mark.parametrize("name", NAMES)
def test_the_contract_is_kept(name: str) -> None:
    check_proxy(registry.known()[name])
