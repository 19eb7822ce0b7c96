"""What losses learn beside the student: its formulas, its start, and that it draws from its own generator only."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import nn

from common.errors import BadUsage
from distill.losses import LOSSES, loss
from distill.process.connectors import connectors
from spaces.output import Output

Shapes = Sequence[tuple[int, ...]]
TEACHER: Shapes = [(2, 5, 4, 4), (2, 6, 4, 4), (2, 7, 2, 2)]
STUDENT: Shapes = [(2, 3, 4, 4), (2, 4, 4, 4), (2, 9, 2, 2)]
ALWAYS = ("cc", "fitnet", "ickd", "vid")
WHERE_WIDTHS_DIFFER = ("kdsvd", "semantic")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(name: str, seed: int = 0) -> nn.Module:
    connector = connectors(name, TEACHER, STUDENT, seeded(seed))
    assert connector is not None
    return connector


def maps(shapes: Shapes, seed: int) -> tuple[torch.Tensor, ...]:
    generator = seeded(seed)
    return tuple(torch.randn(shape, generator=generator) for shape in shapes)


def shown(shapes: Shapes, seed: int) -> Output:
    features = maps(shapes, seed)
    return Output(torch.randn(2, 3, generator=seeded(seed + 1)), features[-1].mean((2, 3)), features)


def pointwise(weight: torch.Tensor, values: torch.Tensor) -> np.ndarray:
    return np.einsum("oi,nihw->nohw", weight.detach().numpy()[:, :, 0, 0], values.numpy())


def weights(connector: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach() for name, value in connector.state_dict().items()}


def test_losses_that_compare_any_two_networks_need_no_connector() -> None:
    needing = {name for name in LOSSES if connectors(name, TEACHER, STUDENT, seeded()) is not None}
    assert needing == {*ALWAYS, *WHERE_WIDTHS_DIFFER}


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_between_equal_widths_only_the_published_connectors_are_left(name: str) -> None:
    assert (connectors(name, TEACHER, TEACHER, seeded()) is not None) == (name in ALWAYS)


def test_an_unknown_loss_is_bad_usage_with_a_suggestion() -> None:
    with pytest.raises(BadUsage, match="'vidd': did you mean 'vid'"):
        connectors("vidd", TEACHER, STUDENT, seeded())


@pytest.mark.parametrize("name", [*ALWAYS, *WHERE_WIDTHS_DIFFER])
def test_weights_follow_from_the_generator_alone(name: str) -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = weights(made(name))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    again, other = weights(made(name)), weights(made(name, seed=1))
    assert first.keys() == again.keys()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", [*ALWAYS, *WHERE_WIDTHS_DIFFER])
def test_every_parameter_is_there_to_be_trained(name: str) -> None:
    for parameter in made(name).parameters():
        assert parameter.device.type == "cpu"
        assert parameter.requires_grad
        assert parameter.isfinite().all()


@pytest.mark.parametrize("name", ["fitnet", "cc"])
def test_weights_and_biases_are_uniform_within_one_over_the_root_of_the_fan_in(name: str) -> None:
    wide = [(2, 400, 1, 1)] * 3
    connector = connectors(name, wide, wide, seeded())
    assert connector is not None
    layers = [layer for layer in connector.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    for layer in layers:
        assert layer.bias is not None
        for values in (layer.weight, layer.bias):
            assert values.abs().max().item() <= 1 / 20
            assert values.std().item() == pytest.approx(1 / 20 / math.sqrt(3), rel=0.1)


def test_layers_of_one_connector_are_independent_draws() -> None:
    connector = connectors("cc", TEACHER, TEACHER, seeded())
    assert connector is not None
    teacher, student = (value for key, value in weights(connector).items() if key.endswith("weight"))
    assert not torch.equal(teacher, student)


def test_fitnets_regressor_is_a_pointwise_convolution_and_a_batch_norm_of_the_middle_map() -> None:
    connector = made("fitnet")
    hints = (maps(TEACHER, 1)[1],), (maps(STUDENT, 2)[1],)
    teacher, (found,) = connector(*hints)
    assert teacher is hints[0]
    weight, bias = (weights(connector)[f"layers.0.{key}"] for key in ("weight", "bias"))
    linear = pointwise(weight, hints[1][0]) + bias.numpy()[None, :, None, None]
    centred = linear - linear.mean((0, 2, 3), keepdims=True)
    expected = centred / np.sqrt(linear.var((0, 2, 3), keepdims=True) + 1e-5)
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-3, atol=1e-4)
    assert (found < 0).any()  # no ReLU: the teacher's inner maps go negative


def test_ickds_embedding_has_no_bias_and_gives_the_teachers_width() -> None:
    connector = made("ickd")
    assert "layers.0.bias" not in weights(connector)
    _, (found,) = connector((maps(TEACHER, 1)[-1],), (maps(STUDENT, 2)[-1],))
    assert found.shape == TEACHER[-1]


def test_ccs_embeddings_are_linear_in_both_networks_and_128_wide() -> None:
    connector = made("cc")
    pooled = shown(TEACHER, 1).pooled, shown(STUDENT, 2).pooled
    embedded = connector(pooled[:1], pooled[1:])
    for role, (values,), features in zip(("teacher", "student"), embedded, pooled, strict=True):
        weight, bias = (weights(connector)[f"{role}.{key}"].numpy() for key in ("weight", "bias"))
        assert values.shape == (2, 128)
        np.testing.assert_allclose(
            values.detach().numpy(), np.einsum("oi,ni->no", weight, features.numpy()) + bias, rtol=1e-4, atol=1e-6
        )


@pytest.mark.slow
def test_vids_variance_starts_as_five() -> None:
    _, (_, log_variances) = made("vid")((maps(TEACHER, 1),), (maps(STUDENT, 2),))
    assert [values.shape for values in log_variances] == [(1, 5, 1, 1), (1, 6, 1, 1), (1, 7, 1, 1)]
    for values in log_variances:
        torch.testing.assert_close(values.exp(), torch.full_like(values, 5.0), rtol=1e-5, atol=0)


def test_vids_variance_is_the_softplus_of_its_scale_and_a_little_more() -> None:
    connector = made("vid")
    with torch.no_grad():
        connector.get_parameter("scales.0").fill_(-100)
        connector.get_parameter("scales.1").fill_(1)
    _, (_, log_variances) = connector((maps(TEACHER, 1),), (maps(STUDENT, 2),))
    assert log_variances[0].exp().flatten().tolist() == pytest.approx([1e-5] * 5, rel=1e-3)
    assert log_variances[1].exp().flatten().tolist() == pytest.approx([math.log(1 + math.e) + 1e-5] * 6, rel=1e-6)


def test_vids_mean_is_three_pointwise_convolutions_with_relus_between() -> None:
    connector = made("vid")
    of_teacher, of_student = maps(TEACHER, 1), maps(STUDENT, 2)
    (teacher,), (means, _) = connector((of_teacher,), (of_student,))
    for stage, mean in enumerate(means):
        assert torch.equal(teacher[stage], of_teacher[stage])
        values = of_student[stage]
        for layer in (0, 2, 4):
            weight = weights(connector)[f"means.{stage}.{layer}.weight"]
            found = pointwise(weight, values)
            values = torch.from_numpy(np.maximum(found, 0))
        np.testing.assert_allclose(mean.detach().numpy(), found, rtol=1e-4, atol=1e-6)


def test_vid_compares_maps_of_unequal_size_at_the_smaller_one() -> None:
    large = [(n, c, 2 * h, 2 * w) for n, c, h, w in STUDENT]
    (teacher,), (means, _) = made("vid")((maps(TEACHER, 1),), (maps(large, 2),))
    assert [mean.shape for mean in means] == [values.shape for values in teacher] == TEACHER
    (teacher,), (means, _) = connectors("vid", large, TEACHER, seeded())((maps(large, 1),), (maps(TEACHER, 2),))  # type: ignore[misc]
    assert [mean.shape for mean in means] == [values.shape for values in teacher] == STUDENT


def test_kdsvds_projections_stand_only_where_widths_differ() -> None:
    student = [STUDENT[0], TEACHER[1], STUDENT[2]]
    connector = connectors("kdsvd", TEACHER, student, seeded())
    assert connector is not None
    of_student = maps(student, 2)
    _, (found,) = connector((maps(TEACHER, 1),), (of_student,))
    assert [values.shape for values in found] == TEACHER
    assert found[1] is of_student[1]
    np.testing.assert_allclose(
        found[0].detach().numpy(), pointwise(weights(connector)["layers.0.weight"], of_student[0]), rtol=1e-4, atol=1e-6
    )


def test_the_semantic_projection_maps_pooled_features_and_leaves_logits() -> None:
    connector = made("semantic")
    teacher, student = shown(TEACHER, 1), shown(STUDENT, 2)
    of_teacher, (logits, pooled) = connector((teacher.logits, teacher.pooled), (student.logits, student.pooled))
    assert of_teacher == (teacher.logits, teacher.pooled)
    assert logits is student.logits
    weight = weights(connector)["layer.weight"].numpy()
    expected = np.einsum("oi,ni->no", weight, student.pooled.numpy())
    np.testing.assert_allclose(pooled.detach().numpy(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ALWAYS, *WHERE_WIDTHS_DIFFER])
def test_training_the_connector_alone_lowers_the_loss(name: str) -> None:
    connector = made(name)
    teacher, student, labels = shown(TEACHER, 1), shown(STUDENT, 2), torch.tensor([0, 1])
    optimiser = torch.optim.SGD(connector.parameters(), lr=1e-2)
    found = []
    for _ in range(20):
        optimiser.zero_grad()
        value = loss(name)(teacher, student, labels, connector)
        value.backward()
        optimiser.step()
        found.append(value.item())
    assert found[-1] < found[0]
