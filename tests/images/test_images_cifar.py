"""CIFAR from parquet files, torchvision's batch files and the hub: images, splits and draws."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from cifar_files import (
    CELL,
    Image,
    encoded,
    one_line,
    pa,
    parquet_folder,
    pixels,
    pq,
    torchvision_folder,
    write_parquet,
)

from common.errors import BadInput, BadUsage
from images import load
from images.base import draw
from images.cifar import Cifar, _quiet

DRAW = [44235, 19109, 38599, 33947]
VAL = [0, 12, 18, 22, 31, 38]


def check_content(found: Cifar, train: int = 60) -> None:
    images, labels = pixels(train, 0)
    parts = [found.split("train"), found.split("val")]
    assert [len(part) for part in parts] == [train - train // 10, train // 10]
    # every official image is in exactly one of the two, with its label
    seen = {image.tobytes(): label for part in parts for image, label in zip(part.images, part.labels, strict=True)}
    assert seen == {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    test = found.split("test")
    np.testing.assert_array_equal(test.images, pixels(7, 1)[0])
    np.testing.assert_array_equal(test.labels, pixels(7, 1)[1])
    for part in (*parts, test):
        assert part.images.dtype == np.uint8
        assert part.labels.dtype == np.int64


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
@pytest.mark.parametrize("home", ["{name}", "uoft-cs___{name}", "datasets--uoft-cs--{name}/snapshots/0b2714", "."])
def test_parquet_as_the_hub_has_it(tmp_path: Path, name: str, home: str) -> None:
    folder = tmp_path / home.format(name=name) / {"cifar10": "plain_text", "cifar100": "cifar100"}[name]
    folder.parent.mkdir(parents=True, exist_ok=True)
    parquet_folder(tmp_path / "made", name).rename(folder)
    found = load(f"{name}-subset", tmp_path)
    assert isinstance(found, Cifar)
    check_content(found)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
@pytest.mark.parametrize("inside", [False, True])
def test_parquet(tmp_path: Path, name: str, inside: bool) -> None:
    folder = parquet_folder(tmp_path, name)
    found = load(f"{name}-subset", folder if inside else tmp_path)
    assert isinstance(found, Cifar)
    assert (found.name, found.classes) == (f"{name}-subset", {"cifar10": 10, "cifar100": 100}[name])
    assert found.size == 32
    check_content(found)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(("keys", "protocol"), [(str, 2), (bytes, 2), (str, 5)])
def test_torchvision(tmp_path: Path, name: str, inside: bool, keys: type, protocol: int) -> None:
    folder = torchvision_folder(tmp_path, name, keys, protocol)
    check_content(Cifar(f"{name}-subset", folder if inside else tmp_path))


@pytest.mark.slow
def test_webp(tmp_path: Path) -> None:
    """The layout of lossless copies of the hub's files."""
    folder = parquet_folder(tmp_path, "cifar10")
    images, labels = pixels(7, 1)
    cells = [{"bytes": encoded(image, "WEBP"), "path": None} for image in images]
    write_parquet(folder / "test-00000-of-00001.parquet", "label", images, labels, img=pa.array(cells, CELL))
    check_content(Cifar("cifar10-subset", tmp_path))


def test_parquet_needs_no_datasets_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet_folder(tmp_path, "cifar10")
    monkeypatch.setitem(sys.modules, "datasets", None)
    check_content(Cifar("cifar10-subset", tmp_path))


def test_torchvision_layout_needs_no_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torchvision_folder(tmp_path, "cifar10")
    for library in ("datasets", "pyarrow", "PIL", "PIL.Image"):
        monkeypatch.setitem(sys.modules, library, None)
    assert len(Cifar("cifar10-subset", tmp_path).training_images(0, 8)) == 8


def test_equal_sources_give_equal_batches(tmp_path: Path) -> None:
    parquet_folder(tmp_path / "a", "cifar100")
    torchvision_folder(tmp_path / "b", "cifar100")
    first, second = (Cifar("cifar100-subset", tmp_path / part).batch(16, 3) for part in "ab")
    assert first.hash == second.hash
    assert first.images.shape == (16, 3, 32, 32)


def test_normalised_with_the_constants_of_the_benchmark(tmp_path: Path) -> None:
    parquet_folder(tmp_path, "cifar10")
    found = Cifar("cifar10-subset", tmp_path)
    black, white = (found.normalise(np.full((1, 3, 32, 32), value, np.uint8))[0, :, 0, 0] for value in (0, 255))
    np.testing.assert_allclose(black, [-125.3 / 63.0, -123.0 / 62.1, -113.9 / 66.7], rtol=1e-5)
    np.testing.assert_allclose(white, [129.7 / 63.0, 132.0 / 62.1, 141.1 / 66.7], rtol=1e-5)


@pytest.mark.slow
def test_training_images_are_seeded_distinct_and_not_of_val(tmp_path: Path) -> None:
    parquet_folder(tmp_path, "cifar10")
    found = Cifar("cifar10-subset", tmp_path)
    train = {image.tobytes() for image in found.split("train").images}
    first = found.training_images(5, 54)
    assert {image.tobytes() for image in first.images} == train  # all of them, each once
    found.training_images(6, 20)
    np.testing.assert_array_equal(found.training_images(5, 20).images, first.images[:20])
    assert not np.array_equal(found.training_images(6, 20).images, first.images[:20])


def test_split_and_draw_leave_the_global_generator_alone(tmp_path: Path) -> None:
    parquet_folder(tmp_path, "cifar10")
    before = np.random.get_state()[1].copy()
    found = Cifar("cifar10-subset", tmp_path)
    found.training_images(0, 4)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_seeds_overlap_by_chance_only() -> None:
    drawn = [set(draw("cifar100", seed, 64, 45_000)) for seed in range(40)]
    assert all(len(indices) == 64 for indices in drawn)
    shared = sum(len(a & b) for i, a in enumerate(drawn) for b in drawn[:i])
    assert 30 < shared < 120  # 780 pairs of 64 * 64 / 45,000: 71 expected
    assert drawn[0] != set(draw("cifar10", 0, 64, 45_000))


def test_draws_and_splits_stay_as_published(tmp_path: Path) -> None:
    """Stored scores name their batch by seed: these numbers may change with `HOLD_OUT_SEED` or numpy only."""
    assert draw("cifar100", 0, 4, 45_000).tolist() == DRAW
    parquet_folder(tmp_path, "cifar10")
    assert Cifar("cifar10-subset", tmp_path)._val.tolist() == VAL


def test_only_the_drawn_images_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet_folder(tmp_path, "cifar10")
    decoded = []
    decode = Image.open
    monkeypatch.setattr(Image, "open", lambda *rest, **more: decoded.append(0) or decode(*rest, **more))
    Cifar("cifar10-subset", tmp_path).training_images(0, 6)
    assert len(decoded) == 6


@pytest.mark.parametrize(("seed", "count"), [(0, 55), (0, 0), (-1, 4)])
def test_impossible_draws(tmp_path: Path, seed: int, count: int) -> None:
    parquet_folder(tmp_path, "cifar10")
    with pytest.raises(BadUsage) as error:
        Cifar("cifar10-subset", tmp_path).training_images(seed, count)
    one_line(error, "0" if seed else 54)


def test_unknown_names(tmp_path: Path) -> None:
    parquet_folder(tmp_path, "cifar10")
    with pytest.raises(BadUsage, match="did you mean 'test'"):
        Cifar("cifar10-subset", tmp_path).split("tests")
    with pytest.raises(BadUsage, match="cifar1000"):
        Cifar("cifar1000", tmp_path)


@pytest.fixture
def datasets() -> ModuleType:
    return pytest.importorskip("datasets", reason="needs the extra 'cifar'")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, datasets: ModuleType) -> Callable[..., tuple[Path, list]]:
    """Puts CIFAR-100 on a hub of its own, changed by a function; gives the folder of it, and what was asked for."""
    folder = parquet_folder(tmp_path / "data", "cifar100")
    real = datasets.load_dataset

    def publish(change: Callable[[Any], object]) -> tuple[Path, list]:
        asked = []

        def from_folder(repository: str, split: str) -> object:
            asked.append((repository, split))
            files = {part: str(folder / f"{part}-*.parquet") for part in ("train", "test")}
            return change(real("parquet", data_files=files, split=split, cache_dir=str(tmp_path / "cache")))

        monkeypatch.setattr(datasets, "load_dataset", from_folder)
        monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda self, repository, timeout: None)
        return folder, asked

    return publish


@pytest.mark.slow
def test_hub(hub: Callable[..., tuple[Path, list]], datasets: ModuleType) -> None:
    folder, asked = hub(lambda table: table.cast_column("img", datasets.Image()))
    found = Cifar("cifar100-subset", None)
    assert asked == [("uoft-cs/cifar100", "train")]
    check_content(found)
    assert found.batch(16, 3).hash == Cifar("cifar100-subset", folder).batch(16, 3).hash


@pytest.mark.slow
def test_hub_gives_the_rows_of_a_selection(hub: Callable[..., tuple[Path, list]], datasets: ModuleType) -> None:
    hub(lambda table: table.cast_column("img", datasets.Image()).select([5, 1, 3]))
    test = Cifar("cifar100-subset", None).split("test")
    np.testing.assert_array_equal(test.images, pixels(7, 1)[0][[5, 1, 3]])
    np.testing.assert_array_equal(test.labels, pixels(7, 1)[1][[5, 1, 3]])


@pytest.mark.slow
@pytest.mark.parametrize("lacking", ["pictures", "labels"])
def test_hub_with_other_columns(hub: Callable[..., tuple[Path, list]], datasets: ModuleType, lacking: str) -> None:
    if lacking == "pictures":
        hub(lambda table: table)
    else:
        hub(lambda table: table.cast_column("img", datasets.Image()).remove_columns("fine_label"))
    with pytest.raises(BadInput) as error:
        Cifar("cifar100-subset", None)
    one_line(error, "uoft-cs/cifar100 on the hub has no images 'img' with 'fine_label' (", "--data")


@pytest.mark.parametrize("problem", [ConnectionError("Couldn't reach\nthe hub"), OSError(28, "No space left")])
def test_hub_out_of_reach(monkeypatch: pytest.MonkeyPatch, datasets: ModuleType, problem: OSError) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise problem

    monkeypatch.setattr(datasets, "load_dataset", no_network)
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", no_network)
    with pytest.raises(BadInput) as error:
        Cifar("cifar10-subset", None)
    one_line(error, "cifar10", "--data", "No space" if isinstance(problem, OSError) and problem.errno else "connection")
    assert datasets.config.HF_HUB_OFFLINE is (os.environ.get("HF_HUB_OFFLINE", "0") == "1")


@pytest.mark.slow
def test_quiet(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, datasets: ModuleType
) -> None:
    path = str(parquet_folder(tmp_path, "cifar10") / "test-*.parquet")
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda self, repository, timeout: None)
    with _quiet("uoft-cs/cifar10"):
        datasets.load_dataset("parquet", data_files=path, cache_dir=str(tmp_path / "quiet"))
    assert capfd.readouterr() == ("", "")
    datasets.load_dataset("parquet", data_files=path, cache_dir=str(tmp_path / "loud"))
    assert capfd.readouterr().err  # as it was before


@cache
def real(name: str) -> Cifar:
    return Cifar(name, Path(os.environ["DISWOT_DATA"]))


needs_data = pytest.mark.skipif("DISWOT_DATA" not in os.environ, reason="set DISWOT_DATA to a folder with CIFAR")


@pytest.mark.slow
@needs_data
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_real_sizes_and_constants(name: str) -> None:
    found = real(name)
    assert (len(found._train), len(found._val), len(found._test.labels)) == (45_000, 5_000, 10_000)
    images = found.training_images(0, 2_000).images / 255
    # the standard error of a mean over 2,000 images is about .004, since pixels of an image go together
    np.testing.assert_allclose(images.mean((0, 2, 3)), found.mean, atol=0.02)
    np.testing.assert_allclose(images.std((0, 2, 3)), found.std, atol=0.02)


@pytest.mark.slow
@needs_data
def test_real_batch_equals_the_rows_of_the_files() -> None:
    """Independent reading: pyarrow and Pillow, and normalisation in numpy."""
    found = real("cifar100")
    folder = Path(os.environ["DISWOT_DATA"])
    files = sorted((folder / "cifar100").glob("train-*")) or sorted(folder.glob("train-*"))
    table = pa.concat_tables([pq.read_table(file, columns=["img", "fine_label"]) for file in files])
    rows = table.take(found._train[draw("cifar100", 7, 64, 45_000)]).to_pylist()
    images = np.stack([np.asarray(Image.open(io.BytesIO(row["img"]["bytes"]))) for row in rows]).transpose(0, 3, 1, 2)
    mean, std = (np.array(v).reshape(3, 1, 1) for v in ([129.3, 124.1, 112.4], [68.2, 65.4, 70.4]))
    batch = found.batch(64, 7)
    np.testing.assert_allclose(batch.images.numpy(), (images - mean) / std, atol=1e-5)
    assert batch.labels.tolist() == [row["fine_label"] for row in rows]
