"""The statistics that formulas are made of: an independent rendering in NumPy, positions, degenerate networks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from probe.network import Probe
from proxies.base import NotApplicable
from proxies.testing import DEGENERATE, ORDINARY, TEACHER, make_batch, make_probe
from search.formula.names import OF_BOTH, OF_ONE, POSITIONS
from search.formula.statistics import Statistics

STATISTICS = Statistics()
SUMS = ("weight_l1", "weight_l2", "gradient_l1", "gradient_l2", "product_l1")
POSITION = {"stem": 0, "cells.0": 1, "cells.1": 2, "cells.2": 2, "cells.3": 3, "cells.4": 3, "classifier": 4}
"""Of the small students, one cell a stage and the reduction in front of it."""


def probe(cell: str, teacher: bool = False) -> Probe:
    return make_probe(cell, make_batch(10), STATISTICS.needs, teacher=teacher)


def maps(network: Probe) -> list[np.ndarray]:
    """The maps of the five positions, [B, C, pixels], from a run of the network by itself."""
    outputs: list[torch.Tensor] = []
    hook = network.network.stem.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    with torch.no_grad():
        seen = network.network(network.images)
    hook.remove()
    found = [outputs[0], *seen.features, seen.logits[:, :, None, None]]
    return [one.double().numpy().reshape(len(one), one.shape[1], -1) for one in found]


def effective_rank(matrix: np.ndarray) -> float:
    values = np.clip(np.linalg.eigvals(matrix).real, 0, None)
    shares = values / values.sum()
    return math.exp(-sum(share * math.log(share) for share in shares if share > 0))


def of_map(features: np.ndarray) -> dict[str, float]:
    rows = features.reshape(len(features), -1)
    count = len(rows)
    others = [(i, j) for i in range(count) for j in range(count) if i != j]
    centred = rows - rows.mean(0)
    channels = features.transpose(1, 0, 2).reshape(features.shape[1], -1)
    agree = np.array([[np.mean((a > 0) == (b > 0)) for b in rows] for a in rows])
    return {
        "map_mean": np.abs(rows).mean(),
        "map_std": rows.std(),
        "map_rank": effective_rank(centred @ centred.T),
        "map_channels": effective_rank(np.cov(channels)),
        "map_correlation": np.mean([abs(np.corrcoef(rows[i], rows[j])[0, 1]) for i, j in others]),
        "code_share": np.mean(rows > 0),
        "code_distance": np.mean([1 - agree[i, j] for i, j in others]),
        "code_logdet": math.log(np.linalg.det(agree + np.eye(count))),
    }


def of_layers(network: Probe) -> list[dict[str, float]]:
    """By position, from a backward pass of the network by itself."""
    model = network.network
    model.zero_grad()
    cross_entropy(model(network.images).logits, network.labels).backward()
    found = [dict.fromkeys(SUMS, 0.0) for _ in range(5)]
    for name, weight in model.named_parameters():
        if weight.ndim > 1:
            w, g = weight.detach().double().numpy(), np.zeros(tuple(weight.shape))
            if weight.grad is not None:
                g = weight.grad.double().numpy()
            one = found[next(place for start, place in POSITION.items() if name.startswith(start))]
            one["weight_l1"] += np.abs(w).sum()
            one["weight_l2"] += (w**2).sum()
            one["gradient_l1"] += np.abs(g).sum()
            one["gradient_l2"] += (g**2).sum()
            one["product_l1"] += np.abs(w * g).sum()
    model.zero_grad()
    return [{name: math.sqrt(value) if name.endswith("l2") else value for name, value in one.items()} for one in found]


@pytest.mark.slow
@pytest.mark.parametrize("cell", ORDINARY)
def test_statistics_of_one_network_are_those_of_numpy(cell: str) -> None:
    network = probe(cell)
    found = STATISTICS.of_one(network)
    assert found.shape == (len(OF_ONE), len(POSITIONS))
    assert found.dtype == np.float32
    expected = [of_map(one) | layers for one, layers in zip(maps(network), of_layers(network), strict=True)]
    for name in OF_ONE:
        if name != "gate_square":
            told = [one[name] for one in expected]
            np.testing.assert_allclose(found[OF_ONE.index(name)], told, rtol=2e-4, atol=1e-6, err_msg=name)


def test_gates_are_those_of_the_layers_of_a_position() -> None:
    network = probe(ORDINARY[1])
    found = STATISTICS.of_one(network)[OF_ONE.index("gate_square")]
    expected = np.zeros(5)
    for name, gates in network.gate_gradients.items():
        place = next(place for start, place in POSITION.items() if name.startswith(start))
        expected[place] += (gates.double().numpy() ** 2).sum()
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert (found > 0).all()


@pytest.mark.slow
def test_statistics_of_both_are_those_of_numpy() -> None:
    student, teacher = probe(ORDINARY[1]), probe(TEACHER, teacher=True)
    found = dict(zip(OF_BOTH, STATISTICS.of_both(student, teacher), strict=True))
    for place, (s, t) in enumerate(zip(maps(student), maps(teacher), strict=True)):
        a, b = s.reshape(len(s), -1), t.reshape(len(t), -1)
        grams = [x @ x.T / np.linalg.norm(x @ x.T) for x in (a, b)]
        centring = np.eye(len(a)) - 1 / len(a)
        ca, cb = (centring @ x @ x.T @ centring for x in (a, b))
        spatial = [(x**2).sum(1) if x.shape[2] > 1 else x[:, :, 0] ** 2 for x in (s, t)]
        spatial = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in spatial]
        agree = [np.array([[np.mean((p > 0) == (q > 0)) for q in x] for p in x]) for x in (a, b)]
        expected = {
            "gram_distance": np.linalg.norm(grams[0] - grams[1]),
            "cka": np.trace(ca @ cb) / math.sqrt(np.trace(ca @ ca) * np.trace(cb @ cb)),
            "attention_distance": ((spatial[0] - spatial[1]) ** 2).sum(1).mean(),
            "code_difference": np.abs(agree[0] - agree[1]).mean(),
        }
        for name, value in expected.items():
            assert found[name][place] == pytest.approx(value, rel=1e-4, abs=1e-7), (name, place)


@pytest.mark.slow
@pytest.mark.parametrize("cell", DEGENERATE)
def test_a_degenerate_function_has_finite_statistics(cell: str) -> None:
    student, teacher = probe(cell), probe(TEACHER, teacher=True)
    assert np.isfinite(STATISTICS.of_one(student)).all()
    assert np.isfinite(STATISTICS.of_both(student, teacher)).all()


@pytest.mark.slow
def test_a_network_beside_itself_differs_nowhere() -> None:
    one, other = probe(ORDINARY[0]), probe(ORDINARY[0])
    found = dict(zip(OF_BOTH, STATISTICS.of_both(one, other), strict=True))
    np.testing.assert_allclose(found["cka"], 1, rtol=1e-6)
    for name in ("gram_distance", "attention_distance", "code_difference"):
        np.testing.assert_allclose(found[name], 0, atol=1e-6)


def test_statistics_are_no_score() -> None:
    with pytest.raises(NotApplicable, match=r"`python -m search statistics` records them"):
        STATISTICS.score(probe(ORDINARY[0]), probe(TEACHER, teacher=True))
