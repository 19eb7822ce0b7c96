"""Pathways attach to cells and ResNets by named stages, which are looked at and left as they were."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from tiny import CELL, SKELETON, student

from common.errors import BadUsage
from distill.process.pathways import TRANSFORMS, Pathway, Pathways, between, distance, parse
from distill.process.stages import STAGES, Seen, Tapped
from spaces.draw import Draw
from spaces.nb201.network import CellNetwork
from spaces.resnet.network import ResNet, resnet_shape

IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def resnet(channels: int = 6) -> ResNet:
    shape = replace(resnet_shape(8, 10), widths=(channels, 2 * channels, 4 * channels), stem=channels)
    return ResNet(shape, Draw(1))


def wide_cell() -> CellNetwork:
    return CellNetwork(CELL, replace(SKELETON, channels=8), Draw(1))


@pytest.mark.parametrize("network", [student(), resnet()], ids=["cell", "resnet"])
def test_the_stages_are_what_the_network_computes_and_no_hook_stays(network: CellNetwork | ResNet) -> None:
    network.eval()
    random = torch.random.get_rng_state()
    seen = Tapped(network).look(IMAGES)
    assert torch.equal(torch.random.get_rng_state(), random)
    output = network(IMAGES)
    assert torch.equal(seen.stage("stem"), network.stem(IMAGES))
    for place, name in enumerate(("stage1", "stage2", "stage3")):
        assert torch.equal(seen.stage(name), output.features[place])
    assert torch.equal(seen.stage("pooled")[:, :, 0, 0], output.pooled)
    assert torch.equal(seen.pooled @ seen.classifier.T + network.classifier.bias, seen.logits)
    assert not any(module._forward_hooks for module in network.modules())


def test_a_hook_is_gone_after_an_error_too() -> None:
    network = student()
    with pytest.raises(RuntimeError):
        Tapped(network)(IMAGES[:, :2])
    assert not any(module._forward_hooks for module in network.modules())


def test_of_four_stages_ten_pairs_go_forward() -> None:
    found = between(STAGES[1:], ("T4",))
    assert [str(path) for path in found[:4]] == [f"stage1-{name}-T4" for name in STAGES[1:]]
    assert len(found) == 10
    assert all(STAGES.index(path.student) >= STAGES.index(path.teacher) for path in found)
    assert len(between(STAGES, TRANSFORMS)) == 15 * 4
    # in one order, however they are asked for
    assert between(["pooled", "stage1"], ["T4", "T1"]) == between(["stage1", "pooled"], ["T1", "T4"])


def test_names_are_read_as_they_are_written() -> None:
    for path in between(STAGES, TRANSFORMS):
        assert parse(str(path)) == path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("stage1-stage2", "expected STAGE-STAGE-TRANSFORM"),
        ("stage1-stage9-T4", "unknown stage"),
        ("stage1-stage2-T5", "unknown transform"),
    ],
)
def test_a_wrong_name_is_bad_usage(name: str, expected: str) -> None:
    with pytest.raises(BadUsage, match=expected):
        parse(name)


def test_a_wrong_stage_or_transform_is_bad_usage() -> None:
    with pytest.raises(BadUsage, match="did you mean 'stage"):
        between(["stage"], ["T1"])
    with pytest.raises(BadUsage, match="unknown transform"):
        between(["stage1"], ["T0"])


def test_the_distance_is_the_weighted_mean_of_its_levels() -> None:
    generator = torch.Generator().manual_seed(1)
    teacher, own = torch.randn(2, 3, 3, 8, 8, generator=generator, dtype=torch.float64)
    levels = {8: 1.0, 4: 0.5, 2: 0.25, 1: 0.125}

    def of(size: int) -> torch.Tensor:
        blocks = [maps.reshape(3, 3, size, 8 // size, size, 8 // size).mean((3, 5)) for maps in (teacher, own)]
        return (blocks[0] - blocks[1]).square().mean()

    expected = sum(weight * of(size) for size, weight in levels.items()) / 1.875
    torch.testing.assert_close(distance(teacher, own), expected)


@pytest.mark.parametrize(("size", "weights"), [(4, [1, 0.5, 0.25]), (2, [1, 0.5]), (1, [1])])
def test_levels_that_are_not_smaller_are_left_out(size: int, weights: list[float]) -> None:
    # maps that differ by a constant have the same error at every level
    teacher = torch.randn(2, 3, size, size, dtype=torch.float64)
    torch.testing.assert_close(distance(teacher, teacher + 2), torch.tensor(4.0, dtype=torch.float64))
    only_fine = torch.zeros(1, 1, size, size, dtype=torch.float64)
    if size > 1:
        only_fine[0, 0, 0, 0], only_fine[0, 0, 0, 1] = 1, -1  # nothing is left of it at half the size and below
        expected = torch.tensor(2 / size**2 / sum(weights), dtype=torch.float64)
        torch.testing.assert_close(distance(torch.zeros_like(only_fine), only_fine), expected)


@pytest.mark.slow
@pytest.mark.parametrize("teacher", [wide_cell(), resnet(8)], ids=["cell", "resnet"])
@pytest.mark.parametrize("own", [student(), resnet(6)], ids=["cell", "resnet"])
def test_every_pathway_joins_any_two_networks(teacher: CellNetwork | ResNet, own: CellNetwork | ResNet) -> None:
    of_teacher = Tapped(teacher).look(IMAGES)
    random = torch.random.get_rng_state()
    chosen = between(STAGES, TRANSFORMS)
    pathways = Pathways(chosen, of_teacher, Tapped(own).look(IMAGES), torch.Generator().manual_seed(0))
    assert torch.equal(torch.random.get_rng_state(), random)
    seen: Seen = Tapped(own.train())(IMAGES)
    for path, transform in zip(chosen, pathways.transforms, strict=True):
        assert transform(seen.stage(path.student)).shape == of_teacher.stage(path.teacher).shape
    distances = pathways(of_teacher, seen)
    assert distances.shape == (60,)
    assert distances.isfinite().all()
    assert (distances > 0).all()


def test_the_transforms_are_what_their_formulas_say() -> None:
    """Every layer by hand, of maps of 4 channels and 2 pixels a side to 6 channels and 4 pixels."""
    generator = torch.Generator().manual_seed(2)
    maps = torch.randn(5, 4, 2, 2, generator=generator)
    seen = Seen(maps[:, :, 0, 0], maps[:, :, 0, 0], (maps,) * 3, maps, maps[0, :, 0])
    large = torch.zeros(5, 6, 4, 4)
    of_teacher = seen._replace(features=(large,) * 3)

    def norm(x: torch.Tensor) -> torch.Tensor:
        mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
        return (x - mean) / (variance + 1e-5).sqrt()

    def up(x: torch.Tensor) -> torch.Tensor:
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    for name in TRANSFORMS:
        made = Pathways([Pathway("stage1", "stage1", name)], of_teacher, seen, torch.Generator().manual_seed(3))
        convs = [module for module in made.modules() if isinstance(module, torch.nn.Conv2d)]

        def conv(number: int, x: torch.Tensor, convs: list[torch.nn.Conv2d] = convs) -> torch.Tensor:
            weight = convs[number].weight
            return F.conv2d(x, weight, convs[number].bias, padding=weight.shape[-1] // 2)

        if name == "T1":
            kernels, expected = [1], up(norm(conv(0, maps)))
        elif name == "T2":
            x = norm(conv(0, maps))
            kernels, expected = [1, 1, 3], norm(conv(2, up(x * conv(1, x))))
        elif name == "T3":
            x = norm(conv(0, maps))
            kernels, expected = [1, 1, 3, 3], norm(conv(3, norm(conv(2, up(x * conv(1, x))))))
        else:
            x = norm(conv(0, maps)).relu()
            x = up(norm(conv(2, x * conv(1, x))).relu())
            kernels, expected = [3, 1, 3, 3], norm(conv(3, x))
        assert [layer.weight.shape[-1] for layer in convs] == kernels
        assert [layer.bias is not None for layer in convs] == [number == 1 for number in range(len(convs))]
        torch.testing.assert_close(made.transforms[0](maps), expected)


def test_transforms_start_with_the_variance_of_their_outputs() -> None:
    seen = Tapped(CellNetwork(CELL, replace(SKELETON, channels=32), Draw(0))).look(IMAGES)
    made = Pathways([Pathway("stage3", "stage3", "T4")], seen, seen, torch.Generator().manual_seed(0))
    first = next(module for module in made.modules() if isinstance(module, torch.nn.Conv2d))
    assert first.weight.shape == (128, 128, 3, 3)
    assert first.weight.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.01)
