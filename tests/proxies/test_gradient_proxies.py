"""Proxies made of gradients equal plain loops over the benchmark's own network class, by layer, image and weight."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from images.base import Batch
from probe.network import Probe
from probe.views import View
from proxies import registry
from proxies.testing import DEGENERATE, ORDINARY, make_batch
from spaces.draw import Draw
from spaces.nb201.cell import Cell, cells
from spaces.nb201.equivalence import canonical_form
from spaces.nb201.network import CellNetwork
from spaces.nb201.skeleton import CellSkeleton
from spaces.nb201.xautodl_backbone import XautodlNetwork

SKELETON = CellSkeleton(channels=4, cells_per_stage=1, classes=5, size=8)
MANY = CellSkeleton(channels=4, cells_per_stage=1, classes=120, size=8)
EMPTY, IDENTITY, CUT = DEGENERATE
DEAD = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
"""Live is only the last node's convolution; of the two others each feeds a node that leads nowhere."""
STARVED = "|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|none~1|avg_pool_3x3~2|"
"""The 3x3 convolution is executed on zeros, and what it puts out reaches the output."""
SAMPLE = [*ORDINARY, *DEGENERATE, DEAD, STARVED, str(cells()[4321])]
CONNECTED = [cell for cell in SAMPLE if cell not in (EMPTY, CUT)]


def batch_of(labels: Sequence[int], seed: int = 0) -> Batch:
    images = make_batch(len(labels), seed).images.double()
    return Batch(images, torch.tensor(labels), "")


ORDINARY_BATCH = batch_of([0, 1, 2, 3, 4, 0])


def score(text: str, cell: str, batch: Batch = ORDINARY_BATCH, skeleton: CellSkeleton = SKELETON) -> float:
    """The score of a proxy for a float64 network that executes what the proxy sees; `batch` is the noise too."""
    proxy = registry.create(text)
    parsed = Cell.parse(cell)
    network = CellNetwork(parsed, skeleton, Draw(0, proxy.init, momentum=0.0), proxy.sees).double()
    probe = Probe(parsed, skeleton, lambda: network, lambda: batch, proxy.needs, {"noise": View(lambda: batch)})
    return proxy.score(probe, probe)


class Original:
    """xautodl's own network with the same weights, in float64."""

    def __init__(self, cell: str, init: str = "default", skeleton: CellSkeleton = SKELETON) -> None:
        pytest.importorskip("xautodl.models.cell_infers.tiny_network", reason="xautodl is not installed")
        self.network = XautodlNetwork(Cell.parse(cell), skeleton, Draw(0, init, momentum=0.0)).inner.double()
        modules = list(self.network.modules())
        self.layers = [module for module in modules if isinstance(module, nn.Conv2d | nn.Linear)]

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        _, logits = self.network(images)
        assert isinstance(logits, torch.Tensor)
        return logits

    def gradients(self, batch: Batch) -> list[torch.Tensor]:
        """d loss / d weight of every layer; zeros for those that do not reach the loss."""
        self.network.zero_grad()
        cross_entropy(self.logits(batch.images), batch.labels).backward()
        grads = [layer.weight.grad for layer in self.layers]
        return [
            torch.zeros_like(layer.weight) if grad is None else grad.clone()
            for layer, grad in zip(self.layers, grads, strict=True)
        ]

    def jacobian(self, images: torch.Tensor) -> np.ndarray:
        """Row i: the gradient of the sum of all logits in image i, the other images held fixed."""
        rows = []
        for i in range(len(images)):
            image = images[i : i + 1].clone().requires_grad_()
            total = self.logits(torch.cat([images[:i], image, images[i + 1 :]])).sum()
            (row,) = torch.autograd.grad(total, image)
            rows.append(row.flatten().numpy())
        return np.stack(rows)


@pytest.mark.parametrize("init", ["default", "gaussian"])
@pytest.mark.parametrize("cell", SAMPLE)
def test_plain_sums_weights_times_gradients_with_their_signs(cell: str, init: str) -> None:
    original = Original(cell, init)
    products = [
        weight * gradient
        for layer, gradients in zip(original.layers, original.gradients(ORDINARY_BATCH), strict=True)
        for weight, gradient in zip(layer.weight.flatten().tolist(), gradients.flatten().tolist(), strict=True)
    ]
    assert score(f"plain:init={init}", cell) == pytest.approx(math.fsum(products), rel=1e-7, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("cell", ORDINARY)
def test_plain_is_the_share_of_the_layers_without_a_batch_norm_behind_them(cell: str) -> None:
    original = Original(cell)
    free = [
        module
        for name, module in original.network.named_modules()
        if name == "classifier" or (isinstance(module, nn.Conv2d) and ".downsample." in name)
    ]
    pairs = zip(original.layers, original.gradients(ORDINARY_BATCH), strict=True)
    share = sum((layer.weight * gradient).sum().item() for layer, gradient in pairs if layer in free)
    assert len(free) == 3
    assert score("plain", cell) == pytest.approx(share, rel=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("cell", SAMPLE)
def test_l2_norm_and_layers_count_the_weights_of_dead_operations_too(cell: str) -> None:
    original = Original(cell)
    norms = [math.sqrt(sum(w * w for w in layer.weight.flatten().tolist())) for layer in original.layers]
    assert score("l2_norm", cell) == pytest.approx(math.fsum(norms), rel=1e-10)
    assert score("layers", cell) == len(original.layers)
    # VKDNW counts parameter tensors; all but the reductions' shortcuts and the classifier come with a norm's two
    tensors = len(list(original.network.parameters()))
    assert tensors == 3 * (score("layers", cell) - 3) + 2 + 2 + 2  # shortcuts, classifier, last norm


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("cell", SAMPLE)
def test_fisher_squares_each_images_share_in_each_channel_of_each_layers_output(cell: str, weighted: bool) -> None:
    original, batch = Original(cell), ORDINARY_BATCH
    outputs: list[tuple[nn.Conv2d | nn.Linear, torch.Tensor]] = []
    for layer in original.layers:
        layer.register_forward_hook(lambda layer, _, output: outputs.append((layer, output)))
    loss = cross_entropy(original.logits(batch.images), batch.labels)
    assert len(outputs) == len(original.layers)
    expected = 0.0
    for layer, output in outputs:
        (gradient,) = torch.autograd.grad(loss, output, retain_graph=True, materialize_grads=True)
        share = (layer.weight.numel() // len(layer.weight)) if weighted else 1
        for channel in range(output.shape[1]):
            squares = [((output[n, channel] * gradient[n, channel]).sum() ** 2).item() for n in range(len(output))]
            expected += share * sum(squares) / len(squares) / 2
    assert score(f"fisher:weighted={str(weighted).lower()}", cell) == pytest.approx(expected, rel=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("init", ["default", "kaiming"])
@pytest.mark.parametrize("cell", CONNECTED)
def test_grasp_is_the_change_of_the_gradient_along_itself(cell: str, init: str) -> None:
    """Central differences: H g = (g(w + e g) - g(w - e g)) / 2 e, the batch norms' own parameters held fixed."""
    original, batch = Original(cell, init), ORDINARY_BATCH
    weights = [layer.weight.detach().clone() for layer in original.layers]
    along = original.gradients(batch)

    def gradients_at(step: float) -> list[torch.Tensor]:
        with torch.no_grad():
            for layer, weight, direction in zip(original.layers, weights, along, strict=True):
                layer.weight.copy_(weight + step * direction)
        return original.gradients(batch)

    step = 1e-6
    ahead, behind = gradients_at(step), gradients_at(-step)
    changes = [(a - b) / (2 * step) for a, b in zip(ahead, behind, strict=True)]
    expected = -sum((weight * change).sum().item() for weight, change in zip(weights, changes, strict=True))
    assert abs(expected) > 1e-3
    assert score(f"grasp:init={init}", cell) == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("cell", CONNECTED)
def test_jacov_is_that_of_the_images_rows_by_a_general_eigensolver(cell: str) -> None:
    correlations = np.corrcoef(Original(cell).jacobian(ORDINARY_BATCH.images))
    values = np.linalg.eig(correlations)[0].real
    expected = -sum(math.log(v + 1e-5) + 1 / (v + 1e-5) for v in values)
    assert score("jacov", cell) == pytest.approx(expected, rel=1e-7)


LABELS = [[0, 1, 2, 3, 4, 0], [3, 3, 1, 3, 1, 0], [2, 2, 2, 2, 2, 2]]


def class_sums(rows: np.ndarray, labels: list[int]) -> dict[int, tuple[float, int]]:
    """For each class the sum of log(|correlation| + k) over ordered pairs of its images, and their number."""
    found = {}
    for label in set(labels):
        mine = [i for i, other in enumerate(labels) if other == label]
        pairs = [np.corrcoef(rows[i], rows[j])[0, 1] for i in mine for j in mine]
        found[label] = (sum(math.log(abs(value) + 1e-5) for value in pairs), len(mine))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("cell", CONNECTED)
def test_epe_nas_adds_up_the_classes(cell: str, labels: list[int]) -> None:
    batch = batch_of(labels)
    sums = class_sums(Original(cell).jacobian(batch.images), labels)
    expected = sum(abs(total) for total, _ in sums.values())
    assert score("epe_nas", cell, batch) == pytest.approx(expected, rel=1e-7, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("labels", [[7, 7, 99, 99, 99, 119], *LABELS])
@pytest.mark.parametrize("cell", ORDINARY)
def test_epe_nas_of_more_than_a_hundred_classes_compares_the_classes_of_several_images(
    cell: str, labels: list[int]
) -> None:
    batch = batch_of(labels)
    sums = class_sums(Original(cell, skeleton=MANY).jacobian(batch.images), labels)
    means = [total / count for total, count in sums.values() if count > 1]
    expected = sum(abs(a - b) for a in means for b in means) / len(means)
    assert score("epe_nas", cell, batch, MANY) == pytest.approx(expected, rel=1e-7, abs=1e-12)


@pytest.mark.slow
def test_epe_nas_turns_to_comparing_classes_past_the_hundredth() -> None:
    batch = batch_of([0, 0, 0, 1, 1, 1])
    hundred = score("epe_nas", ORDINARY[0], batch, CellSkeleton(4, 1, 100, 8))
    more = score("epe_nas", ORDINARY[0], batch, CellSkeleton(4, 1, 101, 8))
    assert more < hundred / 4


@pytest.mark.slow
@pytest.mark.parametrize("cell", [*ORDINARY, EMPTY, DEAD])
def test_gradsign_counts_how_far_the_images_agree_weight_by_weight(cell: str) -> None:
    original, batch = Original(cell), ORDINARY_BATCH
    votes = []
    for n in range(len(batch.labels)):
        alone = original.gradients(Batch(batch.images[n : n + 1], batch.labels[n : n + 1], ""))
        votes.append(np.concatenate([np.sign(gradient.flatten().numpy()) for gradient in alone]))
    expected = sum(abs(sum(of_weight)) for of_weight in zip(*votes, strict=True))
    # a derivative of zero but for rounding may vote either way
    assert score("gradsign", cell) == pytest.approx(expected, rel=1e-3)
    assert score("gradsign_mean", cell) == pytest.approx(expected / len(votes[0]), rel=1e-3)


LARGER = CellSkeleton(channels=4, cells_per_stage=1, classes=5, size=16)


@pytest.mark.slow
@pytest.mark.parametrize("init", ["default", "kaiming", "gaussian"])
@pytest.mark.parametrize("cell", [*ORDINARY, *DEGENERATE, DEAD, STARVED, str(cells()[4321])])
def test_gradsign_of_the_batch_is_that_of_one_image_after_another(cell: str, init: str) -> None:
    """Vote by vote, in float64, on maps large enough that no derivative is zero but for rounding."""
    images = torch.randn(5, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    batch = Batch(images, torch.tensor([0, 1, 4, 0, 3]), "")
    network = CellNetwork(Cell.parse(cell), LARGER, Draw(0, init, momentum=0.0)).double()
    weights = [module.weight for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    votes = [torch.zeros_like(weight) for weight in weights]
    for n in range(5):
        loss = cross_entropy(network(batch.images[n : n + 1]).logits, batch.labels[n : n + 1])
        for vote, gradient in zip(votes, torch.autograd.grad(loss, weights, materialize_grads=True), strict=True):
            vote += gradient.sign()
    expected = sum(vote.abs().sum().item() for vote in votes)
    assert score(f"gradsign:init={init}", cell, batch, LARGER) == expected


@pytest.mark.slow
def test_gradsign_sees_no_image_beside_another() -> None:
    batch = batch_of([0, 1, 2, 3, 4])
    for n in range(5):
        one = score("gradsign", ORDINARY[0], Batch(batch.images[[n]], batch.labels[[n]], ""))
        three = score("gradsign", ORDINARY[0], Batch(batch.images[[n] * 3], batch.labels[[n] * 3], ""))
        assert three == 3 * one > 0  # equal images agree on everything
        another = Batch(batch.images[[n, n, n, 4]], batch.labels[[n, n, n, 4]], "")
        assert abs(score("gradsign", ORDINARY[0], another) - three) <= one  # and outvote any other


@pytest.mark.slow
@pytest.mark.parametrize("init", ["default", "gaussian"])
@pytest.mark.parametrize("cell", SAMPLE)
def test_grad_norm_all_is_the_norm_over_every_parameter_of_the_original_network(cell: str, init: str) -> None:
    original = Original(cell, init)
    original.gradients(ORDINARY_BATCH)
    squares = [
        g * g
        for parameter in original.network.parameters()
        if parameter.grad is not None
        for g in parameter.grad.flatten().tolist()
    ]
    assert score(f"grad_norm_all:init={init}", cell) == pytest.approx(math.sqrt(math.fsum(squares)), rel=1e-9)


@pytest.mark.slow
def test_grad_norm_all_reads_noise_and_starts_from_a_gaussian_draw() -> None:
    value = score("grad_norm_all", ORDINARY[1])
    assert value == score("grad_norm_all:init=gaussian", ORDINARY[1])
    assert value != pytest.approx(score("grad_norm_all:init=kaiming", ORDINARY[1]), rel=1e-2)
    assert value != pytest.approx(score("grad_norm_all", ORDINARY[1], batch_of([0, 1, 2, 3, 4, 0], 1)), rel=1e-2)
    assert registry.create("grad_norm_all").needs == ("noise.gradients",)


@pytest.mark.slow
def test_grad_norm_all_tells_where_a_convolution_of_nothing_leads() -> None:
    """The bias behind it gets a gradient on the way to the output: cells of one executed graph differ."""
    to_nowhere = "|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|none~1|none~2|"
    assert canonical_form(Cell.parse(STARVED), "executed") == canonical_form(Cell.parse(to_nowhere), "executed")
    assert score("grad_norm", STARVED) == pytest.approx(score("grad_norm", to_nowhere), rel=1e-12)
    assert score("grad_norm_all", STARVED) > score("grad_norm_all", to_nowhere) * (1 + 1e-6)
    assert canonical_form(Cell.parse(STARVED), "parameters") != canonical_form(Cell.parse(to_nowhere), "parameters")
    assert registry.create("grad_norm_all").sees == "parameters"


# degenerate cells and batches


@pytest.mark.parametrize("cell", [EMPTY, CUT])
def test_grad_norm_all_of_a_network_without_a_path_is_the_share_of_the_classifiers_bias(cell: str) -> None:
    labels = ORDINARY_BATCH.labels
    misses = 1 / SKELETON.classes - torch.eye(SKELETON.classes, dtype=torch.float64)[labels]
    assert score("grad_norm_all", cell) == pytest.approx(misses.mean(0).norm().item(), rel=1e-9)


@pytest.mark.parametrize("init", ["default", "kaiming", "gaussian"])
@pytest.mark.parametrize("cell", [EMPTY, CUT])
@pytest.mark.parametrize("name", ["snip", "grad_norm", "plain", "grasp", "gradsign", "synflow"])
def test_no_gradient_reaches_a_weight_of_a_network_without_a_path_to_its_output(
    name: str, cell: str, init: str
) -> None:
    assert score(f"{name}:init={init}", cell) == 0


@pytest.mark.parametrize("cell", [EMPTY, CUT])
def test_fisher_of_a_network_without_a_path_is_the_share_of_the_classifiers_bias(cell: str) -> None:
    bias = Draw(0).linear("classifier", SKELETON.width, SKELETON.classes).bias.detach().double()
    labels = ORDINARY_BATCH.labels
    misses = bias.softmax(0) - torch.eye(SKELETON.classes, dtype=torch.float64)[labels]  # d (image's loss) / d logits
    share = ((bias * misses / len(labels)) ** 2).mean(0).sum().item() / 2
    assert share > 0
    assert score("fisher", cell) == pytest.approx(SKELETON.width * share, rel=1e-10)
    assert score("fisher:weighted=false", cell) == pytest.approx(share, rel=1e-10)
    assert score("fisher:init=kaiming", cell) == 0  # which draws no bias


@pytest.mark.parametrize("name", ["jacov", "epe_nas"])
@pytest.mark.parametrize("cell", [EMPTY, CUT])
def test_correlations_of_rows_of_zeros_are_not_a_number(cell: str, name: str) -> None:
    assert math.isnan(score(name, cell))


@pytest.mark.slow
@pytest.mark.parametrize("cell", ORDINARY)
def test_an_image_alone_correlates_with_itself(cell: str) -> None:
    one = batch_of([3])
    assert score("jacov", cell, one) == pytest.approx(-math.log(1 + 1e-5) - 1 / (1 + 1e-5), rel=1e-12)
    assert score("epe_nas", cell, one) == pytest.approx(math.log(1 + 1e-5), rel=1e-6)
    assert score("epe_nas", cell, one, MANY) == 0


def test_equal_images_make_jacov_very_small_and_not_infinite() -> None:
    images = ORDINARY_BATCH.images.clone()
    images[1] = images[0]
    value = score("jacov", ORDINARY[0], Batch(images, torch.tensor([0, 0, 2, 3, 4, 1]), ""))
    assert -1.1e5 < value < -0.9e5  # one eigenvalue of zero: -(log k + 1 / k)


def test_a_gradient_that_is_not_a_number_does_not_vote_zero() -> None:
    images = ORDINARY_BATCH.images.clone()
    images[2, 0, 0, 0] = math.nan
    assert math.isnan(score("gradsign", ORDINARY[0], Batch(images, ORDINARY_BATCH.labels, "")))


@pytest.mark.parametrize("name", ["plain", "fisher", "grasp", "jacov", "epe_nas", "gradsign"])
def test_images_of_one_class_have_a_finite_score(name: str) -> None:
    assert math.isfinite(score(name, ORDINARY[1], batch_of([2] * 6)))
