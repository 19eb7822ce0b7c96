"""What students of a seed see: every image once an epoch, shifted and mirrored as pad, crop and mirror would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import FEW, FewImages

from common.errors import BadUsage
from images.base import DataSet
from images.digits import Digits
from images.stream import Resident, Stream, plain

TRAIN = FEW.split("train")
COUNT = len(TRAIN)


def pixels(batch: torch.Tensor, data_set: DataSet = FEW) -> np.ndarray:
    """Normalised images as bytes again, [B, 3, H, W]."""
    mean, std = (np.array(values).reshape(1, 3, 1, 1) for values in (data_set.mean, data_set.std))
    exact = (batch.double().numpy() * std + mean) * 255
    assert np.abs(exact - np.rint(exact)).max() < 1e-3, "values between two bytes"
    return np.rint(exact).astype(np.uint8)


def black(image: np.ndarray) -> np.ndarray:
    """With two pixels of black around."""
    canvas = np.zeros((3, 12, 12), np.uint8)
    canvas[:, 2:10, 2:10] = image
    return canvas


def mirrored(image: np.ndarray) -> np.ndarray:
    """With two pixels around of the image mirrored at its outermost ones, which are not repeated."""
    near = [2, 1, *range(8), 6, 5]
    return image[:, near][:, :, near]


def renderings(bordered: Callable[[np.ndarray], np.ndarray]) -> dict[bytes, tuple[int, int, int, bool]]:
    """Every image as it may be seen: with its border, cut out at (y, x), mirrored or not."""
    found = {}
    for number, image in enumerate(TRAIN.images):
        canvas = bordered(image)
        for y in range(5):
            for x in range(5):
                cut = canvas[:, y : y + 8, x : x + 8]
                found[cut.tobytes()] = (number, y, x, False)
                found[cut[:, :, ::-1].tobytes()] = (number, y, x, True)
    assert len(found) == COUNT * 25 * 2, "two renderings are alike"
    return found


RENDERINGS = renderings(black)


def seen(
    stream: Stream, known: dict[bytes, tuple[int, int, int, bool]] = RENDERINGS
) -> list[tuple[int, int, int, bool]]:
    """Image, shift and mirroring of everything in a stream, in its order; KeyError where something is no rendering."""
    return [known[image.tobytes()] for step in range(stream.steps) for image in pixels(stream.batch(step)[0])]


class Reflected(FewImages):
    """With a border that mirrors the image."""

    border = "reflect"


# digits: fresh scenes


@pytest.mark.parametrize(("seed", "steps", "batch"), [(0, 3, 8), (5, 1, 7), (1_000_000, 4, 2)])
def test_the_stream_of_digits_is_the_training_images_of_the_seed_in_their_order(
    seed: int, steps: int, batch: int
) -> None:
    data = Digits()
    stream, drawn = data.stream(seed, steps, batch), data.training_images(seed, steps * batch)
    batches = [stream.batch(step) for step in range(steps)]
    assert (stream.steps, stream.batch_size) == (steps, batch)
    assert all(len(images) == len(labels) == batch for images, labels in batches)
    assert torch.equal(torch.cat([images for images, _ in batches]), data.normalise(drawn.images))
    assert torch.cat([labels for _, labels in batches]).tolist() == drawn.labels.tolist()


# augmented


def test_every_image_is_seen_once_an_epoch_and_batches_run_on_across_its_end() -> None:
    stream = FEW.stream(3, 15, 8)  # six epochs of 20 images; the third batch has images of two
    assert all(len(stream.batch(step)[1]) == 8 for step in range(15))
    numbers = [number for number, *_ in seen(stream)]
    epochs = [numbers[start : start + COUNT] for start in range(0, len(numbers), COUNT)]
    assert len(epochs) == 6
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 6, "a new order every epoch"
    assert list(range(COUNT)) not in epochs


def test_the_first_images_alone_are_seen_as_often_as_the_stream_is_long() -> None:
    stream = FEW.stream(3, 15, 8, first=6)  # twenty epochs of 6 images
    numbers = [number for number, *_ in seen(stream)]
    assert all(sorted(numbers[start : start + 6]) == list(range(6)) for start in range(0, len(numbers), 6))
    assert seen(FEW.stream(3, 15, 8, first=COUNT)) == seen(FEW.stream(3, 15, 8))
    assert len({FEW.stream(3, 15, 8, first=first).hash for first in (6, 7, None)}) == 3


def test_more_images_than_there_are_or_any_number_of_those_made_anew_are_bad_usage() -> None:
    with pytest.raises(BadUsage, match="cannot train on 21 images: few has 20 for training"):
        FEW.stream(3, 15, 8, first=COUNT + 1)
    with pytest.raises(BadUsage, match="digits cannot train on 20 images: it makes them anew"):
        Digits().stream(0, 3, 8, first=20)


def test_every_image_is_cut_out_of_its_padded_self_and_keeps_its_label() -> None:
    stream = FEW.stream(1, 25, 8)
    found = seen(stream)
    labels = torch.cat([stream.batch(step)[1] for step in range(25)])
    assert labels.dtype == torch.int64
    assert labels.tolist() == [TRAIN.labels[number] for number, *_ in found]


@pytest.mark.slow
def test_with_a_reflected_border_it_is_cut_out_of_the_mirrored_image_by_the_same_draws() -> None:
    known = renderings(mirrored)
    black_ones, stream = FEW.stream(1, 100, 8), Reflected().stream(1, 100, 8)
    found = seen(stream, known)
    assert found == seen(black_ones)
    assert {(y, x, flip) for _, y, x, flip in found} == {(y, x, f) for y in range(5) for x in range(5) for f in (0, 1)}
    assert stream.hash != black_ones.hash, "what is seen is part of a stream's identity"
    same = [torch.equal(stream.batch(step)[1], black_ones.batch(step)[1]) for step in range(100)]
    assert all(same)


def test_a_border_is_black_where_nothing_else_is_said() -> None:
    assert DataSet.border == FEW.border == Digits.border == "constant"
    cpu = torch.device("cpu")
    padded = Resident.of(TRAIN.images, TRAIN.labels, 2, cpu)
    assert torch.equal(padded.images, FEW.stream(0, 1, 8).resident.images)
    assert padded.hash != Resident.of(TRAIN.images, TRAIN.labels, 2, cpu, "reflect").hash


def test_the_values_are_those_of_normalising_the_rendered_bytes() -> None:
    images, _ = FEW.stream(1, 1, 8).batch(0)
    assert torch.equal(images, FEW.normalise(pixels(images)))


@pytest.mark.slow
def test_shifts_and_mirrorings_are_about_equally_frequent_and_independent() -> None:
    found = seen(FEW.stream(7, 500, 8))
    total = len(found)
    shifts, flips = Counter((y, x) for _, y, x, _ in found), Counter(flip for *_, flip in found)
    assert set(shifts) == {(y, x) for y in range(5) for x in range(5)}
    expected = total / 25
    # chi square with 24 and 1 degrees of freedom: beyond these once in a hundred thousand seeds
    assert sum((count - expected) ** 2 / expected for count in shifts.values()) < 67
    assert (flips[True] - flips[False]) ** 2 / total < 20
    _, y, x, flip = np.array(found).T
    correlations = np.corrcoef([y, x, flip])[np.triu_indices(3, 1)]
    assert np.abs(correlations).max() < 0.08


def test_equal_seeds_are_equal_and_a_longer_stream_begins_with_the_shorter() -> None:
    short, again, long = FEW.stream(2, 3, 8), FewImages().stream(2, 3, 8), FEW.stream(2, 11, 8)
    assert short.hash == again.hash
    assert short.hash != long.hash
    for step in range(3):
        for other in (again, long):
            for a, b in zip(short.batch(step), other.batch(step), strict=True):
                assert torch.equal(a, b)
    assert long.batch(4)[0].tolist() == long.batch(4)[0].tolist(), "a step can be seen again"
    assert seen(FEW.stream(2, 6, 4)) == seen(short), "the size of a batch does not change what comes"


def test_other_seeds_and_other_data_sets_are_seen_otherwise() -> None:
    streams = [FEW.stream(0, 5, 8), FEW.stream(1, 5, 8), FewImages("other").stream(0, 5, 8)]
    orders = [[number for number, *_ in seen(stream)] for stream in streams]
    shifts = [[(y, x) for _, y, x, _ in seen(stream)] for stream in streams]
    flips = [[flip for *_, flip in seen(stream)] for stream in streams]
    for drawn in (orders, shifts, flips):
        assert all(drawn[a] != drawn[b] for a, b in ((0, 1), (0, 2), (1, 2)))
    assert len({stream.hash for stream in streams}) == 3


@pytest.mark.parametrize("data_set", [FEW, Digits()], ids=["augmented", "digits"])
def test_global_random_states_are_neither_read_nor_changed(data_set: DataSet) -> None:
    hashes = set()
    for seed in (0, 1):
        np.random.seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            before = np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[index]
            stream = data_set.stream(4, 3, 8)
            stream.batch(1)
            hashes.add(stream.hash)
            assert np.random.get_state()[1].tolist() == before[0]  # type: ignore[index]
            assert torch.equal(torch.get_rng_state(), before[1])
    assert len(hashes) == 1


@pytest.mark.parametrize("data_set", [FEW, Digits()], ids=["augmented", "digits"])
def test_batches_are_single_precision_and_channels_last(data_set: DataSet) -> None:
    images, labels = data_set.stream(0, 2, 8).batch(1)
    assert images.shape == (8, 3, data_set.size, data_set.size)
    assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert not images.is_contiguous()


def test_the_images_are_held_once_for_all_streams() -> None:
    data = FewImages()
    assert data.stream(0, 1, 8).resident is data.stream(1, 2, 4).resident
    assert data.stream(0, 1, 8).resident.images.dtype == torch.uint8


# identity


def test_images_labels_order_shifts_and_flips_each_change_the_hash() -> None:
    cpu = torch.device("cpu")
    resident = Resident.of(TRAIN.images, TRAIN.labels, 2, cpu)
    order, shifts, flips = np.arange(8), np.zeros((8, 2), np.int64), np.zeros(8, bool)

    def hash_of(
        resident: Resident = resident, order: np.ndarray = order, shifts: np.ndarray = shifts, flips: np.ndarray = flips
    ) -> str:
        return Stream(FEW, resident, order, shifts, flips, 4).hash

    darker, moved, mirrored = TRAIN.images.copy(), shifts.copy(), flips.copy()
    darker[-1, -1, -1, -1] ^= 1
    moved[-1, -1], mirrored[-1] = 1, True
    hashes = [
        hash_of(),
        hash_of(resident=Resident.of(darker, TRAIN.labels, 2, cpu)),
        hash_of(resident=Resident.of(TRAIN.images, (TRAIN.labels + 1) % 10, 2, cpu)),
        hash_of(resident=Resident.of(TRAIN.images, TRAIN.labels, 1, cpu)),
        hash_of(order=order[::-1].copy()),
        hash_of(shifts=moved),
        hash_of(flips=mirrored),
    ]
    assert len(set(hashes)) == len(hashes)
    assert hash_of() == hash_of(resident=replace(resident))


def test_a_plain_stream_shows_every_image_as_it_is() -> None:
    stream = plain(FEW, TRAIN.images, TRAIN.labels, 5, torch.device("cpu"))
    assert stream.steps == 4
    assert np.array_equal(np.concatenate([pixels(stream.batch(step)[0]) for step in range(4)]), TRAIN.images)
