"""Digit scenes are the same everywhere and every time, and no original digit is seen in two splits."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import images
from common.errors import BadUsage
from common.files import content_hash
from images import digits
from images.base import Split
from images.digits import Digits, compose

SPLITS = {"train": 1097, "val": 300, "test": 400}


@pytest.fixture(scope="module")
def held_out() -> dict[str, Split]:
    return {name: Digits().split(name) for name in ("val", "test")}


# originals


def indices(split: str) -> list[int]:
    """Which of scikit-learn's digits are in a split; all 1,797 differ, so that pixels tell."""
    pixels, labels = load_digits(return_X_y=True)
    number = {image.tobytes(): k for k, image in enumerate(pixels)}
    assert len(number) == 1797
    ink, names = digits._originals(split)
    found = [number[(image.reshape(64) * 16).tobytes()] for image in ink]
    assert np.array_equal(names, labels[found])
    return found


@pytest.mark.slow
def test_every_original_is_in_exactly_one_split() -> None:
    parts = {name: indices(name) for name in SPLITS}
    assert {name: len(part) for name, part in parts.items()} == SPLITS
    assert Counter(k for part in parts.values() for k in part) == Counter(range(1797))


@pytest.mark.slow
def test_originals_are_shuffled_before_they_are_split() -> None:
    """scikit-learn's order is by writer, and neighbours look alike."""
    for name in SPLITS:
        assert abs(np.corrcoef(indices(name), np.arange(SPLITS[name]))[0, 1]) < 0.2


def test_scenes_are_composed_from_the_originals_of_their_own_split_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    originals = digits._originals

    def recording(split: str) -> tuple[np.ndarray, np.ndarray]:
        asked.append(split)
        return originals(split)

    monkeypatch.setattr(digits, "_originals", recording)
    monkeypatch.setattr(digits, "SCENES", {"val": 5, "test": 6})
    Digits().split("val")
    assert set(asked) == {"val"}
    asked.clear()
    Digits().split("test")
    assert set(asked) == {"test"}
    asked.clear()
    Digits().training_images(0, 5)
    Digits().batch(5, 0)
    assert set(asked) == {"train"}


# scenes


@pytest.mark.slow
def test_shapes_types_and_sizes(held_out: dict[str, Split]) -> None:
    parts = {**held_out, "training": Digits().training_images(3, 17)}
    for (name, part), count in zip(parts.items(), (2000, 4000, 17), strict=True):
        assert part.images.shape == (count, 3, 16, 16), name
        assert part.images.dtype == np.uint8
        assert part.labels.shape == (count,)
        assert part.labels.dtype == np.int64
        assert part.labels.min() >= 0
        assert part.labels.max() <= 9
        assert (part.images == part.images[:, :1]).all()
    assert {len(held_out["val"]), len(held_out["test"])} == {2000, 4000}
    batch = Digits().batch(17, 3)
    assert batch.images.shape == (17, 3, 16, 16)
    assert (batch.images.dtype, batch.labels.dtype) == (torch.float32, torch.int64)


def test_the_batch_of_a_seed_is_its_training_images_normalised() -> None:
    data = Digits()
    batch, drawn = data.batch(9, 4), data.training_images(4, 9)
    expected = (drawn.images.astype(np.float64) / 255 - 0.23) / 0.30
    np.testing.assert_allclose(batch.images.numpy(), expected, atol=1e-5)
    assert batch.labels.tolist() == drawn.labels.tolist()
    assert batch.hash == content_hash([drawn.images, drawn.labels])


def test_equal_seeds_give_equal_scenes_whatever_was_drawn_before() -> None:
    data = Digits()
    first = data.training_images(1, 20)
    data.training_images(2, 7)
    data.batch(5, 1)
    np.random.seed(0)
    torch.manual_seed(0)
    again = Digits().training_images(1, 20)
    assert np.array_equal(first.images, again.images)
    assert np.array_equal(first.labels, again.labels)


def test_global_random_states_are_left_alone() -> None:
    states = np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[index, union-attr]
    Digits().training_images(1, 20)
    assert np.random.get_state()[1].tolist() == states[0]  # type: ignore[index, union-attr]
    assert torch.equal(torch.get_rng_state(), states[1])


@pytest.mark.slow
def test_seeds_counts_and_splits_each_give_other_scenes(held_out: dict[str, Split]) -> None:
    data = Digits()
    drawn = [data.training_images(seed, count).images[:10] for seed in (0, 1, 1_000_000) for count in (10, 11)]
    drawn += [held_out["val"].images[:10], held_out["test"].images[:10]]
    scenes = Counter(image.tobytes() for part in drawn for image in part)
    assert len(scenes) == 10 * len(drawn)
    assert max(scenes.values()) == 1


@pytest.mark.slow
def test_held_out_splits_are_the_same_every_time(held_out: dict[str, Split]) -> None:
    again = Digits().split("val")
    assert np.array_equal(again.images, held_out["val"].images)
    assert np.array_equal(again.labels, held_out["val"].labels)


@pytest.mark.slow
def test_classes_are_about_equally_frequent(held_out: dict[str, Split]) -> None:
    for part, low, high in ((Digits().training_images(0, 4000), 0.075, 0.13), (held_out["test"], 0.06, 0.14)):
        shares = np.bincount(part.labels, minlength=10) / len(part)
        assert shares.min() > low
        assert shares.max() < high


@pytest.mark.slow
def test_mean_and_deviation_are_those_of_training_scenes() -> None:
    pixels = Digits().training_images(7, 4000).images / 255
    assert pixels.mean() == pytest.approx(Digits.mean[0], abs=0.02)
    assert pixels.std() == pytest.approx(Digits.std[0], abs=0.02)
    assert len(set(Digits.mean)) == len(set(Digits.std)) == 1


def test_no_two_held_out_scenes_are_alike(held_out: dict[str, Split]) -> None:
    for part in held_out.values():
        assert len({image.tobytes() for image in part.images}) == len(part)


def test_the_target_is_drawn_where_its_affine_map_says() -> None:
    """A bar in the upper half of a digit of full size stands there; a quarter turn puts it to one side."""
    ink = np.zeros((1, 8, 8))
    ink[0, :4] = 1

    def centre(rotation: float, shift: tuple[float, float] = (0, 0), scale: float = 1.0) -> np.ndarray:
        scene = digits._place(ink, np.array([scale]), np.array([rotation]), np.array([shift], dtype=float))[0].numpy()
        y, x = np.mgrid[0:16, 0:16]
        return np.array([(x * scene).sum(), (y * scene).sum()]) / scene.sum() - 7.5  # in pixels, right and down

    assert centre(0) == pytest.approx([0, -4], abs=0.3)
    assert abs(centre(np.pi / 2)[0]) == pytest.approx(4, abs=0.3)
    assert centre(np.pi / 2)[1] == pytest.approx(0, abs=0.3)
    assert centre(np.pi) == pytest.approx([0, 4], abs=0.3)
    assert centre(0, scale=0.5) == pytest.approx([0, -2], abs=0.3)
    assert centre(0, (0.25, 0.125), scale=0.5) == pytest.approx([2, -1], abs=0.3)


def test_the_pixels_of_stored_scores_and_accuracies_are_still_drawn(held_out: dict[str, Split]) -> None:
    """Other hashes here would mean that stored scores and trained accuracies belong to other images."""
    scenes = compose("train", 6, np.random.default_rng(0))
    assert scenes.labels.tolist() == LABELS
    assert content_hash([scenes.images]) == COMPOSED
    assert Digits().batch(64, 0).hash == BATCH
    assert content_hash([held_out["val"].images, held_out["val"].labels]) == VAL
    assert content_hash([held_out["test"].images, held_out["test"].labels]) == TEST


LABELS = [5, 2, 2, 4, 6, 0]
COMPOSED = "098f73ef6673afa25501ecfeae5787d37213270caca504d1b39450146872fe44"
BATCH = "045724588d5d99a46427092b1f23581c86fd237af77a4831d12d7ce8683bc867"
VAL = "f1684a9df22cbc2f9c7b55037925d4d0b62a84bdb1a3f588fac815c06708c92f"
TEST = "b3bee450badc962a38a50d5af2244dd22a4327c468c21befc32ecfea9149d83c"


# what it refuses


@pytest.mark.parametrize("name", ["train", "validation", ""])
def test_other_splits_are_bad_usage_that_names_those_there_are(name: str) -> None:
    with pytest.raises(BadUsage, match=f"no fixed split '{name}': it has val and test"):
        Digits().split(name)


def test_it_is_loaded_by_name_without_a_folder() -> None:
    data = images.load("digits")
    assert isinstance(data, Digits)
    assert (data.name, data.classes, data.size) == ("digits", 10, 16)
    with pytest.raises(BadUsage, match="did you mean 'digits'"):
        images.load("digit")
