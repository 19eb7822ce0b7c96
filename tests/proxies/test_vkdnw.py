"""VKDNW equals a Fisher information worked out image by image over the benchmark's own network class."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, jacrev

from bench.benchmarks import benchmark
from bench.identity import settings
from bench.published import read_manifest
from common.errors import BadUsage
from common.results import SCORES
from images.base import Batch
from images.noise import noise
from probe.each_image import logit_jacobian
from probe.network import Probe
from probe.views import View
from proxies import registry
from proxies.testing import DEGENERATE, ORDINARY, make_batch, make_probe
from proxies.vkdnw import _released_rows
from spaces.draw import Draw
from spaces.nb201.cell import Cell, cells
from spaces.nb201.equivalence import canonical_form
from spaces.nb201.network import CellNetwork
from spaces.nb201.skeleton import CellSkeleton
from spaces.nb201.xautodl_backbone import XautodlNetwork

SKELETON = CellSkeleton(channels=4, cells_per_stage=1, classes=5, size=8)
EMPTY, IDENTITY, CUT = DEGENERATE
DEAD = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
STARVED = "|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|none~1|avg_pool_3x3~2|"
SAMPLE = [*ORDINARY, *DEGENERATE, DEAD, STARVED, str(cells()[4321])]
BIASES = 2e-2
"""Scale of the batch norms' parameters around 1 and 0 in the tests that move them off where they start."""


def double(batch: Batch) -> Batch:
    return Batch(batch.images.double(), batch.labels, batch.hash)


def probe_of(text: str, cell: str, seed: int = 0) -> Probe:
    """A probe of a float64 network, with noise in float64."""
    proxy, parsed = registry.create(text), Cell.parse(cell)
    network = CellNetwork(parsed, SKELETON, Draw(seed, proxy.init, momentum=0.0), proxy.sees).double()
    images = double(noise("noise", seed, 6, SKELETON.size, SKELETON.classes))
    further = {"noise": View(lambda: images)}
    return Probe(parsed, SKELETON, lambda: network, lambda: double(make_batch(6)), proxy.needs, further)


def score(text: str, cell: str, seed: int = 0) -> float:
    probe = probe_of(text, cell, seed)
    return registry.create(text).score(probe, probe)


def original(cell: str, init: str = "kaiming") -> nn.Module:
    """xautodl's own network with the same weights, in float64 and in evaluation."""
    pytest.importorskip("xautodl.models.cell_infers.tiny_network", reason="xautodl is not installed")
    return XautodlNetwork(Cell.parse(cell), SKELETON, Draw(0, init, momentum=0.0)).inner.double().eval()


def lower_factor(matrix: np.ndarray) -> np.ndarray:
    """Of Cholesky, entry by entry, of a matrix that may be singular."""
    factor = np.zeros_like(matrix)
    for i in range(len(matrix)):
        for j in range(i + 1):
            left = matrix[i, j] - factor[i, :j] @ factor[j, :j]
            if i == j:
                factor[i, j] = math.sqrt(max(left, 0))
            else:
                factor[i, j] = left / factor[j, j]
    return factor


def information(network: nn.Module, images: torch.Tensor, tensors: int, released: bool = False) -> np.ndarray:
    """Mean over images of J^T (diag p - p p^T) J, J by reverse differentiation of one image's logits in one vector."""
    parameters = {name: value.detach() for name, value in network.named_parameters()}
    names = list(parameters)[:tensors]
    rest = {name: value.flatten()[1:] for name, value in parameters.items()}

    def logits(first: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        changed = {
            name: torch.cat([first[k : k + 1], rest[name]]).view_as(parameters[name]) for k, name in enumerate(names)
        }
        _, found = functional_call(network, parameters | changed, (image[None],))
        assert isinstance(found, torch.Tensor)
        return found[0]

    start = torch.stack([parameters[name].flatten()[0] for name in names])
    total = np.zeros((len(names), len(names)))
    for image in images:
        J = jacrev(logits)(start, image).numpy()
        p = torch.softmax(logits(start, image), 0).numpy()
        if released:
            p = 0.95 * p + 0.05 * np.full(len(p), 1 / len(p))
        middle = np.diag(p) - np.outer(p, p)
        if released:
            factor = lower_factor(middle)
            middle = factor.T @ factor
        total += J.T @ middle @ J
    return total / len(images)


def entropy(matrix: np.ndarray) -> float:
    """Of the deciles of the eigenvalues, each by its own interpolation."""
    values = np.sort(np.abs(np.linalg.svd(matrix, compute_uv=False)))
    deciles = []
    for k in range(1, 10):
        place = k / 10 * (len(values) - 1)
        low = math.floor(place)
        high = min(low + 1, len(values) - 1)
        deciles.append(values[low] + (place - low) * (values[high] - values[low]))
    shares = [decile / sum(deciles) for decile in deciles]
    return -sum(q * math.log(q) for q in shares if q > 0)


SPREAD = [cell for cell in SAMPLE if cell not in (EMPTY, CUT, IDENTITY)]
"""Without those whose deciles lie too far below the largest eigenvalue to be found by squaring the Jacobian."""


@pytest.mark.slow
@pytest.mark.parametrize("tensors", [128, 11])
@pytest.mark.parametrize("cell", SPREAD)
def test_the_entropy_is_of_the_fisher_information_image_by_image(cell: str, tensors: int) -> None:
    images = probe_of("vkdnw_entropy", cell).noise.images
    expected = entropy(information(original(cell), images, tensors))
    assert 0 < expected < math.log(9)
    assert score(f"vkdnw_entropy:tensors={tensors}", cell) == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("cell", [*SPREAD, *(str(cells()[index]) for index in (777, 9999, 15000))])
def test_the_released_entropy_is_of_smoothed_probabilities_and_the_factor_as_it_is(cell: str) -> None:
    images = probe_of("vkdnw_entropy", cell).noise.images
    expected = entropy(information(original(cell), images, 128, released=True))
    assert score("vkdnw_entropy:variant=released", cell) == pytest.approx(expected, rel=1e-6)
    assert score("vkdnw_entropy", cell) != pytest.approx(expected, rel=1e-3)
    tensors = len(list(original(cell).parameters()))
    assert score("vkdnw:variant=released", cell) == pytest.approx(tensors + expected, rel=1e-6)


def test_the_factor_in_closed_form_is_one_of_the_matrix() -> None:
    p = torch.softmax(torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), 1)
    unit = torch.eye(6, dtype=torch.float64).expand(3, -1, -1)
    factor = _released_rows(p, unit)
    smooth = 0.95 * p + 0.05 / 6
    torch.testing.assert_close(factor @ factor.mT, smooth.diag_embed() - smooth[:, :, None] * smooth[:, None])
    assert torch.equal(factor, factor.tril())


def test_the_variant_came_later_and_leaves_the_identity_of_published_scores() -> None:
    setting = benchmark("digits")
    for name in ("vkdnw", "vkdnw_entropy"):
        published = read_manifest(SCORES / "digits")[f"{name}.csv.gz"]["settings"]["0"]["record"]
        assert settings(registry.create(name), setting, None) == published
        assert settings(registry.create(f"{name}:variant=released"), setting, None) != published
        assert registry.create(f"{name}:variant=released").identity["variant"] == "released"


@pytest.mark.slow
@pytest.mark.parametrize("init", ["default", "kaiming"])
@pytest.mark.parametrize("cell", SAMPLE)
def test_the_jacobian_is_that_of_every_first_weight(cell: str, init: str) -> None:
    """Batch norms off their first values: an error in what their weights read would show."""
    probe = probe_of(f"vkdnw_entropy:init={init}", cell).noise
    network, theirs = probe.network, original(cell, init)
    generator = torch.Generator().manual_seed(5)
    moved = {
        name: value + BIASES * torch.randn(value.shape, generator=generator)
        for name, value in [*network.named_parameters(), *network.named_buffers()]
        if value.ndim == 1
    }
    network.load_state_dict(moved, strict=False)
    theirs.load_state_dict(moved, strict=False)
    logits, jacobian = logit_jacobian(network, probe.images, 128)
    assert network.training
    p = logits.softmax(1)
    F = torch.einsum("nkp,nk,nkq->pq", jacobian, p, jacobian)
    mean = torch.einsum("nkp,nk->np", jacobian, p)
    F = (F - mean.T @ mean) / len(p)
    np.testing.assert_allclose(F.numpy(), information(theirs, probe.images, 128), rtol=1e-7, atol=1e-12)
    assert len(F) == len(list(theirs.parameters()))


@pytest.mark.slow
@pytest.mark.parametrize("cell", SAMPLE)
def test_the_original_network_has_the_same_jacobian_though_its_last_relu_writes_over_its_input(cell: str) -> None:
    pytest.importorskip("xautodl.models.cell_infers.tiny_network", reason="xautodl is not installed")
    probe = probe_of("vkdnw", cell).noise
    theirs = XautodlNetwork(Cell.parse(cell), SKELETON, Draw(0, "kaiming", momentum=0.0)).double()
    expected = logit_jacobian(probe.network, probe.images, 128)[1]
    torch.testing.assert_close(logit_jacobian(theirs, probe.images, 128)[1], expected, rtol=1e-8, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("cell", SAMPLE)
def test_the_sum_counts_every_tensor_of_the_original_network(cell: str) -> None:
    tensors = len(list(original(cell).parameters()))
    assert score("vkdnw", cell) == tensors + score("vkdnw_entropy", cell)
    blocks = 3
    assert math.log(9) < 3 * blocks  # what one operation more adds: the number decides first


@pytest.mark.slow
def test_our_networks_tensors_are_in_the_original_order() -> None:
    for cell in ORDINARY:
        ours = CellNetwork(Cell.parse(cell), SKELETON, Draw(0), "cell")
        assert [name for name, _ in ours.named_parameters()] == [name for name, _ in original(cell).named_parameters()]


# what it costs


@pytest.mark.slow
def test_both_proxies_of_a_probe_share_the_backward_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    run, passes = torch.autograd.grad, []

    def counted(*args: Any, **kwargs: Any) -> Any:
        passes.append(1)
        return run(*args, **kwargs)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    both = registry.create_all("vkdnw,vkdnw_entropy,vkdnw:tensors=9")
    probe = make_probe(ORDINARY[1], make_batch(6), both[0].needs, "kaiming", "cell")
    first = [proxy.score(probe, probe) for proxy in both]
    assert len(passes) == 2 * SKELETON.classes  # one for each logit, once for 128 tensors and once for 9
    assert [proxy.score(probe, probe) for proxy in reversed(both)] == first[::-1]
    assert len(passes) == 2 * SKELETON.classes
    another = make_probe(ORDINARY[0], make_batch(6), both[0].needs, "kaiming", "cell")
    assert both[1].score(another, another) != first[1]


# degenerate cells, and what the numbers depend on


@pytest.mark.slow
@pytest.mark.parametrize("cell", [EMPTY, CUT])
def test_without_a_path_only_the_classifiers_bias_is_known(cell: str) -> None:
    assert np.count_nonzero(information(original(cell), probe_of("vkdnw", cell).noise.images, 128)) == 1
    assert score("vkdnw_entropy", cell) == 0
    assert score("vkdnw", cell) == len(list(original(cell).parameters()))


@pytest.mark.slow
@pytest.mark.parametrize("cell", ORDINARY)
def test_the_draw_of_weights_its_kind_and_the_number_of_tensors_matter(cell: str) -> None:
    texts = ("vkdnw_entropy", "vkdnw_entropy:init=gaussian", "vkdnw_entropy:tensors=20")
    assert len({*(score(text, cell) for text in texts), score("vkdnw_entropy", cell, seed=1)}) == 4
    assert registry.create("vkdnw").init == registry.create("vkdnw_entropy").init == "kaiming"


@pytest.mark.slow
def test_the_executed_graph_is_not_fine_enough_but_all_parameters_are() -> None:
    """Where a convolution of nothing leads changes what its tensors say, the order of edges only which of few count."""
    to_output, to_nowhere = STARVED, "|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|none~1|none~2|"
    assert canonical_form(Cell.parse(to_output), "executed") == canonical_form(Cell.parse(to_nowhere), "executed")
    assert score("vkdnw_entropy", to_output) != pytest.approx(score("vkdnw_entropy", to_nowhere), rel=1e-3)
    one_first, three_first = (
        f"|{first}~0|+|{second}~0|none~1|+|none~0|skip_connect~1|skip_connect~2|"
        for first, second in (("nor_conv_1x1", "nor_conv_3x3"), ("nor_conv_3x3", "nor_conv_1x1"))
    )
    assert canonical_form(Cell.parse(one_first), "parameters") == canonical_form(Cell.parse(three_first), "parameters")
    few = [score("vkdnw_entropy:tensors=4", cell) for cell in (one_first, three_first)]
    assert few[0] != pytest.approx(few[1], rel=1e-3)
    assert registry.create("vkdnw").sees == registry.create("vkdnw_entropy").sees == "parameters"


def test_wrong_variants_are_refused() -> None:
    with pytest.raises(BadUsage, match="variant of vkdnw_entropy"):
        registry.create("vkdnw_entropy:variant=readme")


def test_at_least_one_tensor() -> None:
    with pytest.raises(BadUsage, match="vkdnw_entropy: at least one"):
        registry.create("vkdnw_entropy:tensors=0")


def test_images_that_are_not_numbers_give_no_number() -> None:
    probe = probe_of("vkdnw", ORDINARY[1])
    probe.noise._batch.images[0, 0, 0, 0] = math.nan
    assert math.isnan(registry.create("vkdnw").score(probe, probe))
