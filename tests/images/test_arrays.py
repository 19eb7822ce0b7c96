"""Images in memory: arrays, tensors and torch Datasets as data sets; what is none of them is refused in one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from folder_files import pictures, write_folder
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import Dataset, TensorDataset

from common.errors import BadInput, BadUsage
from images.arrays import ArrayImages, of_torch
from images.folder import ImageFolder

IMAGES, LABELS = pictures(40, 0), np.arange(40) % 4


def made(images: Any = IMAGES, labels: Any = LABELS, **more: Any) -> ArrayImages:
    return ArrayImages("mine", images, labels, **more)


def rows(*splits: Any) -> list[tuple[int, bytes]]:
    return sorted(
        (label, image.tobytes()) for split in splits for image, label in zip(split.images, split.labels, strict=True)
    )


@pytest.mark.slow
def test_splits_batches_and_streams() -> None:
    found = made(test=(pictures(6, 1), [0, 1, 2, 3, 3, 3]))
    assert (found.name, found.classes, found.size, found.pad) == ("mine", 4, 16, 2)
    assert found.counts() == {"train": 36, "val": 4, "test": 6}
    train, val, test = (found.split(part) for part in ("train", "val", "test"))
    assert rows(train, val) == sorted((label, image.tobytes()) for image, label in zip(IMAGES, LABELS, strict=True))
    assert sorted(val.labels) == [0, 1, 2, 3], "a tenth of each class"
    assert {image.tobytes() for image in test.images} == {image.tobytes() for image in pictures(6, 1)}
    assert (train.images.dtype, train.labels.dtype) == (np.uint8, np.int64)
    batch, second = found.batch(16, 2), found.second_batch(16, 2)
    assert (batch.images.shape, batch.images.dtype) == ((16, 3, 16, 16), torch.float32)
    assert not set(map(str, batch.images)) & set(map(str, second.images))
    seen, labels = found.stream(0, 3, 12).batch(2)
    assert (seen.shape, len(labels)) == ((12, 3, 16, 16), 12)


def test_constants_are_those_of_the_training_images_in_float64() -> None:
    found = made()
    pixels = found.split("train").images.astype(np.float64) / 255
    np.testing.assert_allclose(found.mean, pixels.mean((0, 2, 3)), rtol=1e-13)
    np.testing.assert_allclose(found.std, pixels.std((0, 2, 3)), rtol=1e-12)


def test_a_split_of_ones_own_is_not_held_out_of_the_training_images() -> None:
    found = made(val=(pictures(4, 1), [0, 1, 2, 3]))
    assert found.counts() == {"train": 40, "val": 4, "test": 0}
    with pytest.raises(BadInput, match=r"^mine has no images for the split 'test': add some$"):
        found.split("test")
    with pytest.raises(BadUsage, match="unknown split of mine 'x'"):
        found.split("x")
    with pytest.raises(BadUsage, match=r"^mine has 40 training images, and 41 are wanted at once: add images$"):
        found.batch(41, 0)


def test_a_split_has_the_images_of_a_folder_of_them(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same constants, and the same draws: only the order within a class, that of files' hashes there, differs."""
    monkeypatch.chdir(tmp_path)
    parts = {
        part: write_folder(tmp_path / "own" / part, {"a": 9, "b": 5}, n) for n, part in enumerate(("train", "val"))
    }
    folder = ImageFolder(tmp_path / "own")
    memory = made(parts["train"].images, parts["train"].labels, val=(parts["val"].images, parts["val"].labels))
    assert folder.constants == memory.constants
    for part in parts:
        assert rows(folder.split(part)) == rows(memory.split(part))


# kinds


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
@pytest.mark.parametrize("grey", [False, True])
def test_floats_in_0_to_1_are_the_bytes_they_were_made_of(dtype: torch.dtype, grey: bool) -> None:
    images = torch.arange(256, dtype=torch.uint8).repeat(12).view(4, 3, 16, 16)
    images = images[:, :1] if grey else images
    found = made((images.double() / 255).to(dtype), [0, 1, 0, 1])
    same = made(images, [0, 1, 0, 1])
    assert found.batch(4, 0).hash == same.batch(4, 0).hash
    assert found.hash == same.hash
    if grey:
        assert (found.split("train").images[:, :1] == found.split("train").images).all()


@pytest.mark.parametrize(
    "labels", [LABELS.tolist(), LABELS.astype(np.uint8), torch.from_numpy(LABELS), torch.from_numpy(LABELS).int()]
)
def test_labels_may_be_any_whole_numbers(labels: Any) -> None:
    assert made(torch.from_numpy(IMAGES).requires_grad_(False), labels).hash == made().hash


def test_tensors_that_have_a_gradient_are_read() -> None:
    assert made((torch.from_numpy(IMAGES) / 255).requires_grad_(), LABELS).hash == made().hash


def test_classes_may_be_more_than_there_are_labels() -> None:
    assert made(classes=9).classes == 9


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(40)))
def test_the_order_they_come_in_changes_nothing(order: list[int]) -> None:
    found, same = made(IMAGES[order], LABELS[order]), made()
    assert (found.hash, found.constants) == (same.hash, same.constants)
    assert found.batch(8, 1).hash == same.batch(8, 1).hash


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(which=st.integers(0, 39), at=st.tuples(st.integers(0, 2), st.integers(0, 15), st.integers(0, 15)))
def test_a_changed_pixel_changes_every_hash(which: int, at: tuple[int, int, int]) -> None:
    images = IMAGES.copy()
    images[(which, *at)] ^= 64
    val = (pictures(4, 1), [0, 1, 2, 3])
    found, before = made(images, val=val), made(val=val)
    assert found.hash != before.hash
    assert found.batch(2, 0).hash != before.batch(2, 0).hash


def test_what_is_given_is_not_written_into() -> None:
    images, labels = IMAGES.copy(), LABELS.copy()
    found = made(images, labels)
    found.split("train").images[:] = 0
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)
    assert found.hash == made().hash


# refused

FLOAT = IMAGES / np.float32(255)


def wrong(images: np.ndarray, value: float, at: int = 7) -> np.ndarray:
    images = images.copy()
    images[at, 1, 2, 3] = value
    return images


@pytest.mark.parametrize(
    ("images", "labels", "more", "words"),
    [
        (IMAGES[0], LABELS, {}, "images are [3, 16, 16], not [N, 3, S, S] or, grey, [N, 1, S, S]"),
        (IMAGES.transpose(0, 2, 3, 1), LABELS, {}, "images are [40, 16, 16, 3], not [N, 3, S, S]"),
        (IMAGES[:, :2], LABELS, {}, "images are [40, 2, 16, 16]"),
        (IMAGES[..., :12], LABELS, {}, "images are [40, 3, 16, 12]"),
        (IMAGES[:0], LABELS[:0], {}, "images are [0, 3, 16, 16]"),
        ([[1, 2], [3]], LABELS, {}, "list is no array of plain numbers"),
        (torch.zeros(4, 3, 8, 8).bfloat16(), [0, 1, 0, 1], {}, "Tensor is no array of plain numbers"),
        (IMAGES.astype(np.int64), LABELS, {}, "images are int64: give uint8, or floating point in 0..1"),
        (IMAGES > 5, LABELS, {}, "images are bool: give uint8"),
        (FLOAT * 255, LABELS, {}, "pixels are 0 to 255: give uint8, or floating point in 0..1, not normalised yet"),
        ((FLOAT - 0.5) / 0.25, LABELS, {}, "pixels are -2 to 2: give uint8, or floating point in 0..1, not normalised"),
        (wrong(FLOAT, np.nan), LABELS, {}, "image 7 has pixels that are not finite"),
        (wrong(FLOAT, np.inf, 8), LABELS, {}, "image 8 has pixels that are not finite"),
        (wrong(FLOAT, 0.5, 9), LABELS, {}, "image 9 has pixels between two bytes: give uint8, (255 * x).round() say"),
        (np.zeros_like(IMAGES), LABELS, {}, "all training images are of one value in channel 0"),
        (IMAGES, LABELS[:-1], {}, "labels are int64 [39], not a whole number for each of 40 images"),
        (IMAGES, LABELS[:, None], {}, "labels are int64 [40, 1]"),
        (IMAGES, LABELS.astype(float), {}, "labels are float64 [40]"),
        (IMAGES, LABELS > 1, {}, "labels are bool [40]"),
        (IMAGES, [str(label) for label in LABELS], {}, "labels are <U1 [40]"),
        (IMAGES, LABELS - 1, {}, "labels are -1 to 2, and those of 3 classes 0 to 2"),
        (IMAGES, LABELS, {"classes": 3}, "labels are 0 to 3, and those of 3 classes 0 to 2"),
        (IMAGES, LABELS * 0, {"classes": 1}, "classes=1, and two are the least"),
        (IMAGES, LABELS * 0, {}, "no training image is of class 1 of 2: if that is right, give `classes`"),
        (IMAGES, LABELS * 2, {}, "no training image is of class 1 of 7: if that"),
        (
            IMAGES,
            LABELS,
            {"test": (IMAGES, LABELS + 1)},
            "mine, test: labels are 1 to 4, and those of 4 classes 0 to 3",
        ),
        (IMAGES, LABELS, {"val": (IMAGES[..., :8, :8], LABELS)}, "images of val are 8 wide, of train 16"),
        (IMAGES, LABELS, {"val": (IMAGES[0], LABELS)}, "mine, val: images are [3, 16, 16]"),
    ],
)
def test_wrong_arrays(images: Any, labels: Any, more: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput) as error:
        made(images, labels, **more).batch(4, 0)
    text = str(error.value)
    assert text.startswith("mine")
    assert words in text
    assert "\n" not in text


# torch Datasets


class Items(Dataset[Any]):
    """What it is given, item by item."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, at: int) -> Any:
        return self.items[at]


PAIRS = [(torch.from_numpy(image), int(label)) for image, label in zip(IMAGES, LABELS, strict=True)]


@pytest.mark.parametrize(
    "dataset",
    [
        TensorDataset(torch.from_numpy(IMAGES), torch.from_numpy(LABELS)),
        Items(PAIRS),
        Items([(image / 255, np.int32(label)) for image, label in PAIRS]),
        [(image.numpy(), label) for image, label in PAIRS],
    ],
)
def test_a_torch_dataset_is_what_its_items_are(dataset: Any) -> None:
    found = of_torch("mine", dataset, val=dataset, test=dataset)
    same = made(val=(IMAGES, LABELS), test=(IMAGES, LABELS))
    assert (found.hash, found.constants, found.counts()) == (same.hash, same.constants, same.counts())
    assert of_torch("mine", dataset, classes=7).classes == 7


class Flipping(Items):
    def __getitem__(self, at: int) -> Any:
        image, label = self.items[at]
        return image.flip(-1) if torch.rand(()) < 0.5 else image, label


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (Items([]), "mine, train has no images"),
        (iter(PAIRS), "mine, train: a list_iterator cannot be read by index: give a Dataset with a length"),
        (Items([{"img": 1}]), "mine, train, item 0 is a dict, not a pair of image and label"),
        (Items([PAIRS[0][0]]), "mine, train, item 0 is a Tensor, not a pair of image and label"),
        (Items([(1, 2, 3)]), "mine, train, item 0 is a tuple, not a pair of image and label"),
        (
            Items([("a.png", 1)]),
            "item 0 has a str as its image, not a tensor [3, S, S]: transform it, by PILToTensor say",
        ),
        (Items([*PAIRS, (PAIRS[0][0], "cat")]), "item 40 has a label that is <U3 []: wanted is a whole number"),
        (Items([(PAIRS[0][0], 1.0)]), "item 0 has a label that is float64 []"),
        (Items([(PAIRS[0][0], True)]), "item 0 has a label that is bool []"),
        (Items([(PAIRS[0][0], torch.zeros(4))]), "item 0 has a label that is float32 [4]"),
        (
            Items([PAIRS[0], (PAIRS[1][0][..., :8, :8], 1)]),
            "items 0 and 1 differ, uint8 [3, 16, 16] and uint8 [3, 8, 8]",
        ),
        (Items([PAIRS[0], (PAIRS[1][0] / 255, 1)]), "items 0 and 1 differ, uint8 [3, 16, 16] and float32 [3, 16, 16]"),
        (Items([(image[0], label) for image, label in PAIRS]), "images are [40, 16, 16], not [N, 3, S, S]"),
        (Items([(image / 128, label) for image, label in PAIRS]), "pixels are 0 to 1.992: give uint8, or"),
        (Items([*PAIRS, (PAIRS[0][0], -1)]), "labels are -1 to 3"),
    ],
)
def test_wrong_datasets(dataset: Any, words: str) -> None:
    with pytest.raises(BadInput) as error:
        of_torch("mine", dataset)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_dataset_that_flips_at_random_is_refused() -> None:
    torch.manual_seed(0)
    with pytest.raises(BadInput, match=r"is another image when asked again: leave random transforms out$"):
        of_torch("mine", Flipping(PAIRS))
