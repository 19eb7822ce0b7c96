"""Folders of images: what is read, in which order, how it is held out and normalised; same images, same numbers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folder_files import picture, pictures, write_folder
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.benchmarks import CellTeacher, benchmark, of_images
from bench.runner import Request, execute
from bench.store import ScoreStore
from common.errors import BadInput, BadUsage
from images import folder, load
from images.arrays import ArrayImages
from images.folder import ImageFolder
from proxies.registry import create
from spaces.nb201.skeleton import CellSkeleton


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def rows(split: object) -> list[tuple[int, bytes]]:
    return sorted((label, image.tobytes()) for image, label in zip(split.images, split.labels, strict=True))  # type: ignore[attr-defined]


@pytest.mark.slow
def test_one_level_is_split_into_a_fifth_a_tenth_of_the_rest_and_the_rest_of_each_class(tmp_path: Path) -> None:
    made = write_folder(tmp_path / "own", {"cat": 50, "ant": 14})
    found = load("folder", tmp_path / "own")
    assert isinstance(found, ImageFolder)
    assert (found.class_names, found.classes, found.size, found.pad) == (("ant", "cat"), 2, 16, 2)
    assert found.counts() == {"train": (50 - 10 - 4) + (14 - 2 - 1), "val": 4 + 1, "test": 10 + 2}
    parts = [found.split(part) for part in ("train", "val", "test")]
    assert [np.bincount(part.labels).tolist() for part in parts] == [[11, 36], [1, 4], [2, 10]]
    assert sorted(row for part in parts for row in rows(part)) == rows(made)
    assert {part.images.dtype for part in parts} == {np.dtype(np.uint8)}
    assert {part.labels.dtype for part in parts} == {np.dtype(np.int64)}


@pytest.mark.slow
@pytest.mark.parametrize("val", [False, True])
def test_two_levels_are_split_as_they_are(tmp_path: Path, val: bool) -> None:
    made = {
        part: write_folder(tmp_path / "own" / part, {"a": 20, "b": 9}, seed)
        for seed, part in enumerate(("train", "test"))
    }
    if val:
        made["val"] = write_folder(tmp_path / "own/val", {"a": 3, "b": 1}, 2)
    found = ImageFolder(tmp_path / "own")
    assert rows(found.split("test")) == rows(made["test"])
    train, held = rows(found.split("train")), rows(found.split("val"))
    if val:
        assert (train, held) == (rows(made["train"]), rows(made["val"]))
    else:
        assert sorted(train + held) == rows(made["train"])
        assert [label for label, _ in held] == [0, 0], "a tenth of 20 and of 9, rounded down"


def test_a_split_without_images_is_told_and_scores_need_none(tmp_path: Path) -> None:
    write_folder(tmp_path / "own/train", {"a": 6, "b": 6})
    found = ImageFolder(tmp_path / "own")
    assert len(found.batch(12, 0).labels) == 12
    for part in ("val", "test"):
        with pytest.raises(BadInput, match=f"own has no images for the split '{part}': add some"):
            found.split(part)
    with pytest.raises(BadUsage, match=r"unknown split of .*own 'valid': did you mean 'val'"):
        found.split("valid")


@pytest.mark.slow
def test_constants_are_those_of_the_training_images_in_float64(tmp_path: Path) -> None:
    write_folder(tmp_path / "own", {"a": 30, "b": 30})
    found = ImageFolder(tmp_path / "own")
    pixels = found.split("train").images.astype(np.float64) / 255
    np.testing.assert_allclose(found.mean, pixels.mean((0, 2, 3)), rtol=1e-13)
    np.testing.assert_allclose(found.std, pixels.std((0, 2, 3)), rtol=1e-12)
    batch, drawn = found.batch(8, 3), found.training_images(3, 8).images / 255
    expected = (drawn - np.array(found.mean).reshape(3, 1, 1)) / np.array(found.std).reshape(3, 1, 1)
    np.testing.assert_allclose(batch.images.numpy(), expected, atol=1e-5)


def test_constants_are_kept_by_content_and_nothing_is_written_into_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "own", {"a": 12, "b": 12})
    before = sorted((tmp_path / "own").rglob("*"))
    found = ImageFolder(tmp_path / "own")
    mean = found.mean
    (kept,) = (tmp_path / "results/store/images").iterdir()
    assert kept.name == f"{found.hash}.json"
    assert json.loads(kept.read_text())["mean"] == list(mean)
    assert sorted((tmp_path / "own").rglob("*")) == before

    decoded: list[object] = []
    real = Image.open
    monkeypatch.setattr(Image, "open", lambda *rest, **more: decoded.append(0) or real(*rest, **more))
    again = ImageFolder(tmp_path / "own")
    assert (again.mean, again.std) == (mean, found.std)
    assert len(decoded) == 1, "the first image, whose size is that of all"
    again.training_images(0, 5)
    assert len(decoded) == 6, "only those that are drawn"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"mean": [0.1, 0.2], "std": [1, 1, 1]}', '{"mean": null}'])
def test_damaged_constants_are_computed_again(tmp_path: Path, text: str) -> None:
    write_folder(tmp_path / "own", {"a": 12, "b": 12})
    found = ImageFolder(tmp_path / "own")
    mean = found.mean
    (kept,) = (tmp_path / "results/store/images").iterdir()
    whole = kept.read_text()
    kept.write_text(text)
    assert ImageFolder(tmp_path / "own").mean == mean
    assert kept.read_text() == whole


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_where_nothing_can_be_kept_it_goes_on(tmp_path: Path) -> None:
    write_folder(tmp_path / "own", {"a": 12, "b": 12})
    tmp_path.chmod(0o555)
    assert len(ImageFolder(tmp_path / "own").batch(4, 0).labels) == 4


def test_where_a_file_stands_in_the_place_of_the_folder_it_goes_on(tmp_path: Path) -> None:
    write_folder(tmp_path / "own", {"a": 12, "b": 12})
    (tmp_path / "results").write_text("")
    assert len(ImageFolder(tmp_path / "own").batch(4, 0).labels) == 4


# same images, same numbers


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(24)), width=st.integers(2, 6), names=st.sampled_from(["x", "Ä ö", "000", "z.png."]))
def test_neither_names_nor_the_order_of_files_nor_the_place_count(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], width: int, names: str
) -> None:
    first, second = tmp_path_factory.mktemp("a"), tmp_path_factory.mktemp("b")
    images = pictures(24, 0)
    for n, image in enumerate(images):
        picture(first / "own" / "ab"[n % 2] / f"{n}.png", image)
    for place, n in enumerate(order):
        picture(second / "ab"[n % 2] / f"{names}{place:0{width}}.PNG", images[n])
    one, other = ImageFolder(first / "own"), ImageFolder(second)
    assert one.hash == other.hash
    assert (one.mean, one.std) == (other.mean, other.std)
    assert one.batch(8, 1).hash == other.batch(8, 1).hash
    for part in ("train", "val", "test"):
        np.testing.assert_array_equal(one.split(part).images, other.split(part).images)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(which=st.integers(0, 23), at=st.tuples(st.integers(0, 2), st.integers(0, 15), st.integers(0, 15)))
def test_a_changed_pixel_changes_the_hash_and_every_batch(
    tmp_path_factory: pytest.TempPathFactory, which: int, at: tuple[int, int, int]
) -> None:
    """In an image that a batch does not have too: `mean` and `std`, by which the batch is normalised, are others."""
    images = pictures(24, 0)
    folder = tmp_path_factory.mktemp("own")
    for n, image in enumerate(images):
        picture(folder / "train" / "ab"[n % 2] / f"{n}.png", image)
    before = ImageFolder(folder)
    hashes = before.hash, before.batch(2, 0).hash
    images[which][at] ^= 128
    picture(folder / "train" / "ab"[which % 2] / f"{which}.png", images[which])
    after = ImageFolder(folder)
    assert after.hash != hashes[0]
    trains = after.counts() == before.counts() and after.constants != before.constants
    assert (after.batch(2, 0).hash != hashes[1]) or not trains


@pytest.mark.slow
def test_an_image_outside_of_the_batch_changes_its_fingerprint(tmp_path: Path) -> None:
    write_folder(tmp_path / "own/train", {"a": 20, "b": 20})
    write_folder(tmp_path / "own/val", {"a": 2, "b": 2}, 1)
    before = ImageFolder(tmp_path / "own")
    batch, drawn = before.batch(4, 0), before.training_images(0, 4)
    used = {image.tobytes() for image in drawn.images}
    for path in sorted((tmp_path / "own/train").rglob("*.png")):
        image = np.asarray(Image.open(path)).transpose(2, 0, 1).copy()
        if image.tobytes() in used:
            continue
        original = path.read_bytes()
        image[0, 0, 0] ^= 255
        picture(path, image)
        after = ImageFolder(tmp_path / "own")
        if np.array_equal(after.training_images(0, 4).images, drawn.images):
            assert after.batch(4, 0).hash != batch.hash
            return
        path.write_bytes(original)  # the order by hash has changed with it
    pytest.fail("no image could be changed in its place")


def test_what_an_operating_system_puts_there_is_passed_over(tmp_path: Path) -> None:
    write_folder(tmp_path / "own", {"a": 12, "b": 12})
    before = ImageFolder(tmp_path / "own").hash
    for name in (".DS_Store", "a/.DS_Store", "a/._0.png", "b/Thumbs.db", "b/desktop.ini", "README.md", ".git/config"):
        (tmp_path / "own" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "own" / name).write_bytes(b"x")
    assert ImageFolder(tmp_path / "own").hash == before


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    write_folder(tmp_path / "own", {"train": 12, "plane": 12, "test": 3})
    assert ImageFolder(tmp_path / "own").class_names == ("plane", "test", "train")


def test_links_are_followed(tmp_path: Path) -> None:
    write_folder(tmp_path / "own", {"a": 12, "b": 12})
    (tmp_path / "linked").mkdir()
    for name in "ab":
        (tmp_path / "linked" / name).symlink_to(tmp_path / "own" / name)
    assert ImageFolder(tmp_path / "linked").hash == ImageFolder(tmp_path / "own").hash


def test_grey_jpeg_webp_and_any_case_of_an_ending_are_read(tmp_path: Path) -> None:
    image = pictures(1, 0)[0]
    for name in ("a/0.png", "a/1.JPG", "a/2.jpeg", "b/3.WebP", "b/4.png"):
        picture(tmp_path / "own" / "train" / name, image, lossless=True)
    grey = Image.fromarray(image[0])
    grey.save(tmp_path / "own/train/b/5.png")
    found = ImageFolder(tmp_path / "own").split("train")
    exact = [got for got in found.images if np.array_equal(got, image)]
    assert len(exact) == 3, "PNG and lossless WebP"
    (equal,) = [got for got in found.images if (got == got[0]).all()]
    np.testing.assert_array_equal(equal[0], image[0])
    close = [got for got in found.images if 0 < np.abs(got.astype(int) - image).mean() < 60]
    assert len(close) >= 2


def test_an_image_is_read_as_it_is_stored_whatever_its_orientation_tag(tmp_path: Path) -> None:
    write_folder(tmp_path / "own", {"a": 12, "b": 12})
    image, exif = pictures(1, 7)[0], Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / "own/a/turned.png", exif=exif)
    parts = [ImageFolder(tmp_path / "own").split(part) for part in ("train", "val", "test")]
    assert any(np.array_equal(got, image) for part in parts for got in part.images)


# its benchmark


def test_a_benchmark_has_the_classes_and_the_size_of_its_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "own", {"a": 5, "b": 5, "c": 5}, side=12)
    setting = of_images("birds", f"folder:{tmp_path}/own")
    assert setting.skeleton == CellSkeleton(16, 5, 3, 12)
    assert setting.teacher == CellTeacher(benchmark("cifar10").teacher.cell, setting.skeleton)
    assert (setting.name, setting.data_set, setting.batch) == ("birds", f"folder:{tmp_path}/own", 64)
    assert of_images("birds", "folder:own", channels=8, cells_per_stage=1, batch=4).skeleton == CellSkeleton(
        8, 1, 3, 12
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    assert of_images("birds", "folder:~/own").skeleton.classes == 3


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"channels": 0}, "channels 0"),
        ({"channels": "8"}, "channels '8'"),
        ({"channels": 4.5}, "channels 4.5"),
        ({"cells_per_stage": 0}, "cells_per_stage 0"),
        ({"batch": 4.5}, "batch 4.5"),
        ({"batch": True}, "batch True"),
    ],
)
def test_sizes_that_mean_nothing_are_told_by_name(tmp_path: Path, sizes: dict[str, Any], said: str) -> None:
    write_folder(tmp_path / "own", {"a": 5, "b": 5}, side=12)
    with pytest.raises(BadUsage, match=f"the benchmark 'birds' has {said}"):
        of_images("birds", "folder:own", **sizes)


def test_images_that_cannot_be_halved_twice_are_refused() -> None:
    pixels = np.arange(20 * 3 * 14 * 14).reshape(20, 3, 14, 14).astype(np.uint8)
    odd = ArrayImages("odd", pixels, np.arange(20) % 2)
    with pytest.raises(BadInput, match=r"images of odd are 14 pixels wide.* a multiple of 4, 12 say"):
        of_images("odd", odd)


@pytest.mark.parametrize("name", ["", "a/b", "folder:x", "-x", "a@b", "a,b", "á"])
def test_a_benchmark_has_a_name_that_files_can_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadUsage, match="a benchmark cannot be called '"):
        of_images(name, "folder:nowhere")


@pytest.mark.slow
def test_cells_are_scored_on_them_and_other_images_are_other_scores(tmp_path: Path) -> None:
    write_folder(tmp_path / "own", {"a": 12, "b": 12})
    setting = of_images("birds", "folder:own", channels=4, cells_per_stage=1, batch=8)
    store = ScoreStore(tmp_path / "s.sqlite")
    proxies = tuple(map(create, ("params", "nwot", "diswot")))
    request = Request(benchmark=setting, proxies=proxies, seeds=(0,), limit=3)
    for _ in range(2):
        summary = execute(request, store)
        assert (summary.ok, summary.failed) == (9, 0)
    assert summary.passes == 0, "all was stored"
    (found,) = store.scores("birds", create("nwot"), setting.teacher.record())
    assert found.record["batch"] == {"size": 8, "hash": load("folder", tmp_path / "own").batch(8, 0).hash}

    picture(tmp_path / "own/a/new.png", pictures(1, 9)[0])
    summary = execute(request, store)
    assert summary.passes == 3, "nwot and diswot anew, params are what they were"
    (other,) = store.scores("birds", create("nwot"), setting.teacher.record())
    assert other.fingerprint != found.fingerprint


def test_a_data_set_has_one_folder(tmp_path: Path) -> None:
    write_folder(tmp_path / "own", {"a": 5, "b": 5})
    with pytest.raises(BadUsage, match=r"^--data elsewhere: the images of this benchmark are those of own$"):
        load("folder:own", Path("elsewhere"))
    with pytest.raises(
        BadUsage, match=r"^folder is no data set without its images: pass --data DIR, or write folder:DIR$"
    ):
        load("folder")
    with pytest.raises(BadUsage, match=r"^'folder:' lacks a folder: write folder:DIR$"):
        load("folder:")
    with pytest.raises(
        BadUsage, match=r"^~nobody-here/x: there is no home folder of ~nobody-here: write the whole path$"
    ):
        load("folder:~nobody-here/x")
    for name in ("~/own", str(tmp_path)):
        with pytest.raises(BadUsage, match=f"^'{name}' is no data set: .* are written folder:{name}$"):
            load(name)
    with pytest.raises(BadUsage, match="unknown data set 'folders'"):
        load("folders:own")


def again_in(own: Path, source: str, to: str) -> None:
    """The image of a file in another one, in other bytes."""
    with Image.open(own / source) as image:
        image.save(own / to, compress_level=0)


@pytest.mark.slow
def test_an_image_in_two_classes_is_told_once_and_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own"
    write_folder(own, {"ant": 12, "bee": 12, "cat": 12})
    again_in(own, "ant/3.png", "ant/30.png")  # twice in one class is no matter
    ImageFolder(own).batch(8, 0)
    assert capsys.readouterr().err == ""
    again_in(own, "ant/3.png", "cat/x.png")
    folder._told.clear()
    batch = ImageFolder(own).batch(8, 0)
    said = f"note: {own}/ant/3.png and {own}/cat/x.png are one image in two classes"
    assert capsys.readouterr().err == f"{said}\n"
    assert ImageFolder(own).batch(8, 0).hash == batch.hash
    assert capsys.readouterr().err == ""
    folder._told.clear()  # as in another process, which reads what is kept
    ImageFolder(own).batch(8, 0)
    assert capsys.readouterr().err == f"{said}\n"
    again_in(own, "bee/15.png", "ant/y.png")
    ImageFolder(own).batch(8, 0)
    assert capsys.readouterr().err == f"{said}, and 1 more such images are in {own}\n"
