"""CIFAR at half its side: means of four pixels, the draws of its source, a border that mirrors the image."""

from __future__ import annotations

import io
import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from test_images_cifar import needs_data, one_line, parquet_folder, pixels, torchvision_folder

from bench.benchmarks import benchmark, with_teacher
from bench.teachers import CellTeacher
from common.errors import BadInput, BadUsage
from distill.recipes import ALL_3X3, recipe
from images import load
from images.base import Split, draw
from images.cifar import FACTS, Cifar
from images.halved import SOURCES, HalvedCifar, _halved
from images.registry import NAMES
from images.stream import Stream
from spaces.nb201.skeleton import CellSkeleton

MADE_UP = {"cifar10-16px-subset": "cifar10", "cifar100-16px-subset": "cifar100"}
"""Names under which made-up files pass, since they are no whole CIFAR: and of what they are a part."""
pq = pytest.importorskip("pyarrow.parquet")
Image = pytest.importorskip("PIL.Image")


def averaged(images: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels in double precision, halves up."""
    exact = np.zeros((len(images), 3, 16, 16))
    for y in (0, 1):
        for x in (0, 1):
            exact += images[:, :, y::2, x::2].astype(np.float64) / 4
    return np.floor(exact + 0.5).astype(np.uint8)


# images


@pytest.mark.parametrize("name", MADE_UP)
def test_every_split_is_that_of_the_source_averaged_in_its_order(tmp_path: Path, name: str) -> None:
    torchvision_folder(tmp_path, MADE_UP[name])
    halved, source = load(name, tmp_path), Cifar(SOURCES[name], tmp_path)
    assert isinstance(halved, HalvedCifar)
    for part, count in (("train", 54), ("val", 6), ("test", 7)):
        found, whole = halved.split(part), source.split(part)
        assert found.images.shape == (count, 3, 16, 16)
        assert (found.images.dtype, found.labels.dtype) == (np.uint8, np.int64)
        np.testing.assert_array_equal(found.images, averaged(whole.images))
        np.testing.assert_array_equal(found.labels, whole.labels)
    np.testing.assert_array_equal(halved.split("test").images, averaged(pixels(7, 1)[0]))


def test_halves_are_rounded_up_whether_the_byte_below_is_even_or_odd() -> None:
    """Random images have both kinds; rounding halves to even would be another picture."""
    images = pixels(20, 3)[0]
    sums = images.reshape(20, 3, 16, 2, 16, 2).sum((3, 5))
    assert {0, 1} == set(sums[sums % 4 == 2] // 4 % 2)
    found = _halved_images(images)
    assert (found[sums % 4 == 2] == sums[sums % 4 == 2] // 4 + 1).all()
    assert (found[sums % 4 == 1] == sums[sums % 4 == 1] // 4).all()
    assert (found[sums % 4 == 3] == sums[sums % 4 == 3] // 4 + 1).all()
    assert not np.array_equal(found, np.rint(sums / 4).astype(np.uint8))


def _halved_images(images: np.ndarray) -> np.ndarray:
    return _halved(Split(images, np.zeros(len(images), np.int64))).images


@pytest.mark.parametrize(("four", "expected"), [((255,) * 4, 255), ((255, 255, 255, 254), 255), ((0, 0, 0, 1), 0),
                                                ((0, 0, 1, 1), 1), ((255, 0, 0, 255), 128), ((0,) * 4, 0)])  # fmt: skip
def test_sums_of_four_bytes_do_not_overflow(four: tuple[int, ...], expected: int) -> None:
    image = np.tile(np.array(four, np.uint8).reshape(2, 2), (1, 3, 16, 16))
    assert (_halved_images(image) == expected).all()


def test_a_mean_is_of_neighbours_of_one_channel() -> None:
    image = np.zeros((1, 3, 32, 32), np.uint8)
    image[0, 1, 6:8, 20:22] = ((10, 20), (30, 40))
    found = _halved_images(image)
    assert found[0, 1, 3, 10] == 25
    assert (found > 0).sum() == 1


@pytest.mark.parametrize("name", MADE_UP)
def test_constants_are_those_of_the_source(tmp_path: Path, name: str) -> None:
    torchvision_folder(tmp_path, MADE_UP[name])
    halved, source = load(name, tmp_path), Cifar(SOURCES[name], tmp_path)
    assert (halved.name, halved.size, halved.pad, halved.border) == (name, 16, 2, "reflect")
    assert (source.size, source.pad, source.border) == (32, 4, "constant")
    assert (halved.classes, halved.mean, halved.std) == (source.classes, source.mean, source.std)
    assert halved.classes == FACTS[MADE_UP[name]].classes
    assert name in NAMES


def test_it_reads_parquet_as_its_source_does(tmp_path: Path) -> None:
    parquet_folder(tmp_path, "cifar100")
    found, whole = (
        HalvedCifar("cifar100-16px-subset", tmp_path).split("val"),
        Cifar("cifar100-subset", tmp_path).split("val"),
    )
    np.testing.assert_array_equal(found.images, averaged(whole.images))


# draws


@pytest.mark.parametrize("name", MADE_UP)
@pytest.mark.parametrize("seed", [0, 5])
def test_training_images_are_the_draws_of_the_source(tmp_path: Path, name: str, seed: int) -> None:
    torchvision_folder(tmp_path, MADE_UP[name])
    halved, source = load(name, tmp_path), Cifar(SOURCES[name], tmp_path)
    for found, whole in (
        (halved.training_images(seed, 20), source.training_images(seed, 20)),
        (halved.training_images(seed, 3), source.training_images(seed, 20)),
    ):
        np.testing.assert_array_equal(found.images, averaged(whole.images)[: len(found)])
        assert found.labels.tolist() == whole.labels.tolist()[: len(found)]
    at = draw(SOURCES[name], seed, 20, 54)
    np.testing.assert_array_equal(halved.training_images(seed, 20).images, halved.split("train").images[at])


def test_scoring_batches_are_normalised_averages_and_the_second_has_other_images(tmp_path: Path) -> None:
    torchvision_folder(tmp_path, "cifar10")
    halved, source = load("cifar10-16px-subset", tmp_path), Cifar("cifar10-subset", tmp_path)
    mean, std = (np.array(values).reshape(3, 1, 1) for values in (source.mean, source.std))
    both = averaged(source.training_images(4, 24).images)
    for batch, images in ((halved.batch(12, 4), both[:12]), (halved.second_batch(12, 4), both[12:])):
        np.testing.assert_allclose(batch.images.numpy(), (images / 255 - mean) / std, atol=1e-5)
    assert halved.batch(12, 4).labels.tolist() == source.batch(12, 4).labels.tolist()
    assert halved.batch(12, 4).hash != source.batch(12, 4).hash


# streams


def mirrored(image: np.ndarray) -> np.ndarray:
    """[3, 16, 16] as [3, 20, 20]: two pixels around of the image mirrored at its outermost ones, pixel by pixel."""
    padded = np.zeros((3, 20, 20), np.uint8)
    for y in range(20):
        for x in range(20):
            near = [abs(at - 2) if at - 2 < 16 else 30 - (at - 2) for at in (y, x)]
            padded[:, y, x] = image[:, near[0], near[1]]
    return padded


def test_a_crop_at_every_shift_is_the_cut_of_the_mirrored_image(tmp_path: Path) -> None:
    torchvision_folder(tmp_path, "cifar10")
    data = load("cifar10-16px-subset", tmp_path)
    train, resident = data.split("train"), data.stream(0, 1, 1).resident
    shifts = np.array([(y, x) for y in range(5) for x in range(5)] * 2)
    flips, order = np.arange(50) >= 25, np.arange(50) % 7 * 5
    stream = Stream(data, resident, order, shifts, flips, 50)
    images, labels = stream.batch(0)
    canvas = {number: mirrored(train.images[number]) for number in set(order.tolist())}
    expected = np.stack([canvas[n][:, y : y + 16, x : x + 16] for n, (y, x) in zip(order, shifts, strict=True)])
    expected[25:] = expected[25:, :, :, ::-1]
    assert torch.equal(images, data.normalise(expected))
    assert labels.tolist() == train.labels[order].tolist()
    np.testing.assert_array_equal(expected[12], train.images[order[12]])


@pytest.mark.parametrize("name", MADE_UP)
def test_its_stream_is_of_its_own_name_and_shifts_by_no_more_than_its_border(tmp_path: Path, name: str) -> None:
    torchvision_folder(tmp_path, MADE_UP[name])
    data = load(name, tmp_path)
    stream = data.stream(3, 40, 8)
    assert stream.resident.images.shape == (54, 20, 20, 3)
    assert set(stream._shifts.flatten().tolist()) == {0, 1, 2, 3, 4}
    source = Cifar(SOURCES[name], tmp_path).stream(3, 40, 8)
    assert stream._order.tolist() != source._order.tolist()
    assert stream.hash == load(name, tmp_path).stream(3, 40, 8).hash != source.hash
    assert source.resident.images[:, :4].sum() == 0, "the border of the source is black"


# refused


@pytest.mark.parametrize("name", ["cifar10", "cifar10-8px", "digits", ""])
def test_another_name_is_bad_usage(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadUsage, match="unknown data set"):
        HalvedCifar(name, tmp_path)


def test_an_unknown_name_is_suggested_and_one_that_is_known_loads(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="unknown data set 'cifar100-16p': did you mean 'cifar100-16px'"):
        load("cifar100-16p", tmp_path)


def test_missing_and_damaged_files_are_told_as_the_source_tells_them(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as error:
        load("cifar100-16px-subset", tmp_path)
    one_line(error, tmp_path, "cifar100/train-*.parquet", "cifar-100-python")
    file = torchvision_folder(tmp_path, "cifar100") / "train"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(BadInput) as error:
        load("cifar100-16px-subset", tmp_path)
    one_line(error, file)


def test_a_split_that_there_is_not_is_bad_usage(tmp_path: Path) -> None:
    torchvision_folder(tmp_path, "cifar10")
    with pytest.raises(BadUsage, match="unknown split"):
        load("cifar10-16px-subset", tmp_path).split("valid")


# its benchmark


@pytest.mark.parametrize(("name", "classes"), [("cifar10-16px", 10), ("cifar100-16px", 100), ("digits", 10)])
def test_students_of_scores_are_those_of_labels_and_the_teacher_is_as_wide_and_thrice_as_deep(
    name: str, classes: int
) -> None:
    setting = benchmark(name)
    assert setting.skeleton == recipe(name).skeleton == CellSkeleton(8, 1, classes, 16)
    assert setting.teacher == CellTeacher(ALL_3X3, CellSkeleton(8, 3, classes, 16))
    assert (setting.data_set, setting.batch) == (name, 64)
    assert with_teacher(setting, "resnet20").teacher.record()["widths"] == [8, 16, 32]


# the real images


@cache
def real(name: str) -> HalvedCifar:
    return HalvedCifar(name, Path(os.environ["DISWOT_DATA"]))


@pytest.mark.slow
@needs_data
@pytest.mark.parametrize("name", ["cifar10-16px", "cifar100-16px"])
def test_the_mean_of_real_images_is_the_sources_and_the_deviation_a_tenth_smaller(name: str) -> None:
    images = real(name).split("val").images / 255
    assert len(images) == 5_000
    np.testing.assert_allclose(images.mean((0, 2, 3)), real(name).mean, atol=0.01)
    smaller = images.std((0, 2, 3)) / real(name).std
    assert (smaller > 0.85).all()
    assert (smaller < 0.98).all()


@pytest.mark.slow
@needs_data
def test_real_images_are_those_of_the_files_reduced_by_another_library() -> None:
    """Pillow's `reduce` sums four bytes and rounds halves up."""
    folder = Path(os.environ["DISWOT_DATA"])
    (file,) = sorted((folder / "cifar10").glob("test-*")) or sorted(folder.glob("test-*"))
    rows = pq.read_table(file, columns=["img"]).slice(0, 200).to_pylist()
    small = [np.asarray(Image.open(io.BytesIO(row["img"]["bytes"])).convert("RGB").reduce(2)) for row in rows]
    found = real("cifar10-16px")._source._test.take(np.arange(200))
    np.testing.assert_array_equal(
        _halved(found).images, np.stack([np.asarray(one) for one in small]).transpose(0, 3, 1, 2)
    )
