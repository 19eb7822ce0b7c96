"""Further probes of a cell: what they see, that they are asked for, and that they go when their probe goes."""

from __future__ import annotations

import dataclasses
import gc
import weakref

import numpy as np
import pytest
import torch

import images
from bench.benchmarks import benchmark
from bench.identity import fingerprint, settings
from common.errors import BadInput
from images.noise import noise
from probe.needs import NEEDS, VIEWS, needs_of, reads_images
from probe.network import Probe
from proxies import registry
from proxies.base import Proxy, Reference
from proxies.testing import ORDINARY, SKELETON, make_batch, make_probe


def test_noise_is_standard_normal_and_its_labels_uniform() -> None:
    batch = noise("noise", 0, 500, 16, 10)
    assert batch.images.shape == (500, 3, 16, 16)
    assert batch.images.mean().item() == pytest.approx(0, abs=0.01)
    assert batch.images.std().item() == pytest.approx(1, abs=0.01)
    counts = np.bincount(batch.labels.numpy(), minlength=10)
    assert len(counts) == 10
    assert counts.min() > 25  # of 50 expected


def test_noise_has_labels_of_some_class() -> None:
    with pytest.raises(BadInput, match="no classes"):
        noise("noise", 0, 4, 8, 0)


def test_noise_depends_on_name_and_seed_and_on_nothing_else() -> None:
    torch.manual_seed(1)
    first = noise("noise", 3, 4, 8, 10)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert noise("noise", 3, 4, 8, 10).hash == first.hash
    assert torch.equal(torch.get_rng_state(), state)
    assert noise("noise", 4, 4, 8, 10).hash != first.hash
    assert noise("large", 3, 4, 8, 10).hash != first.hash


@pytest.mark.parametrize("name", ["digits"])
def test_the_second_batch_is_as_large_and_another(name: str) -> None:
    data = images.load(name, None)
    first, second = data.batch(32, 5), data.second_batch(32, 5)
    assert second.images.shape == first.images.shape
    assert second.hash == data.second_batch(32, 5).hash
    pixels = first.images.flatten(1)
    assert all((image != pixels).any(1).all() for image in second.images.flatten(1))


@pytest.mark.slow
def test_views_see_what_they_say() -> None:
    probe = make_probe(ORDINARY[0], make_batch(6), [f"{view}.forward" for view in VIEWS] + ["forward", "small.weights"])
    assert probe.second.images.shape == probe.images.shape
    assert not torch.equal(probe.second.images, probe.images)
    assert probe.noise.images.shape == probe.images.shape
    assert probe.large.images.shape == (1, 3, 64, 64)
    assert probe.thin.images.shape == (3000, 3, 3, 3)
    assert torch.equal(probe.small.images, probe.images)
    for same in (probe.second, probe.noise, probe.large):
        assert same._network is probe._network
    assert (probe.small.skeleton.channels, probe.small.skeleton.cells_per_stage) == (3, 1)
    assert probe.small.classifier_weight.shape == (SKELETON.classes, 12)
    assert probe.thin.pooled.shape == (3000, 4)


def test_a_view_answers_as_a_probe_of_its_own_would() -> None:
    """The second batch through the view, and as the batch of another probe."""
    batch = make_batch(6)
    viewed = make_probe(ORDINARY[1], batch, ("forward", "second.forward", "second.gradients")).second
    direct = make_probe(ORDINARY[1], make_batch(6, seed=1), ("forward", "gradients"))
    assert torch.equal(viewed.logits, direct.logits)
    assert all(torch.equal(viewed.gradients[name], value) for name, value in direct.gradients.items())


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_has_to_be_declared_and_what_is_read_of_it(view: str) -> None:
    with pytest.raises(LookupError, match=view):
        getattr(make_probe(ORDINARY[0], make_batch(4), ("forward", "gradients", "weights")), view)
    asked = getattr(make_probe(ORDINARY[0], make_batch(4), (f"{view}.forward",)), view)
    assert asked.logits.shape[1] == SKELETON.classes
    with pytest.raises(LookupError, match="gradients"):
        _ = asked.gradients
    assert {f"{view}.forward", f"{view}.weights"} <= set(NEEDS)


@pytest.mark.slow
def test_views_go_with_their_probe() -> None:
    """Without the garbage collector: a cell's maps at full size are hundreds of megabytes."""
    probe = make_probe(ORDINARY[0], make_batch(4), [f"{view}.gradients" for view in VIEWS])
    views = [getattr(probe, view) for view in VIEWS]
    assert all(view.gradients for view in views)
    watched = [weakref.ref(view) for view in (probe, *views)]
    gc.disable()
    try:
        del probe, views
        assert not [reference for reference in watched if reference() is not None]
    finally:
        gc.enable()


def test_needs_of_a_view() -> None:
    needs = ("forward", "noise.forward", "noise.gradients", "second.forward")
    assert needs_of("noise", needs) == ("forward", "gradients")
    assert needs_of("thin", needs) == ()
    assert not reads_images(("noise.forward", "large.gradients", "thin.relu_codes", "weights"))
    assert all(reads_images((need,)) for need in ("forward", "second.forward", "small.gradients"))


@dataclasses.dataclass(frozen=True)
class _Reader(Proxy):
    name = "reader"
    family = "test"
    reference = Reference("t", 2026, "", "")

    def score(self, student: Probe, teacher: Probe) -> float:
        return 0.0


def _identity(monkeypatch: pytest.MonkeyPatch, needs: tuple[str, ...], *hashes: str, batch: int = 64) -> str:
    monkeypatch.setattr(_Reader, "needs", needs, raising=False)
    return fingerprint(settings(_Reader(), dataclasses.replace(benchmark("digits"), batch=batch), *hashes))


def test_the_identity_of_a_score_names_what_its_views_read(monkeypatch: pytest.MonkeyPatch) -> None:
    second = ("forward", "second.forward")
    assert _identity(monkeypatch, second, "a", "b") != _identity(monkeypatch, second, "a", "c")
    assert _identity(monkeypatch, ("forward",), "a", "b") == _identity(monkeypatch, ("forward",), "a", "c")
    assert _identity(monkeypatch, ("noise.forward",), "a", "b") == _identity(monkeypatch, ("noise.forward",), "c", "d")
    noisy = [_identity(monkeypatch, ("noise.forward",), "a", "b", batch=size) for size in (32, 64)]
    assert noisy[0] != noisy[1]
    small = [_identity(monkeypatch, ("small.forward",), batch) for batch in ("a", "b")]
    assert small[0] != small[1]


def test_registered_proxies_without_views_have_the_records_they_had() -> None:
    """Stored scores stay valid: nothing new is written where no view is read."""
    record = settings(registry.create("nwot"), benchmark("digits"), "hash")
    assert set(record) == {
        "proxy", "version", "fields", "sees", "skeleton", "code_epoch", "dtype", "backbone", "batch",
    }  # fmt: skip
