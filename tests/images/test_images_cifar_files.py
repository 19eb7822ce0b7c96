"""What is wrong with the files of CIFAR is told in one line; nothing in them is run, and nothing is written."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cifar_files import (
    CELL,
    black_folder,
    encoded,
    one_line,
    parquet_folder,
    pixels,
    torchvision_folder,
    write_parquet,
)

from bench.benchmarks import benchmark
from common.errors import BadInput
from images import load
from images.cifar import FACTS, Cifar

pa = pytest.importorskip("pyarrow", reason="needs the extra 'cifar'")
Image = pytest.importorskip("PIL.Image")

BLACK = np.zeros((3, 32, 32), np.uint8)


def cells(data: bytes) -> object:
    return pa.array([{"bytes": data, "path": None}] * 20, CELL)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as error:
        Cifar("cifar100-subset", tmp_path / "nowhere")
    one_line(error, tmp_path / "nowhere", "--data")


def test_folder_of_neither_layout(tmp_path: Path) -> None:
    parquet_folder(tmp_path, "cifar10")  # the other data set, in its own folder
    with pytest.raises(BadInput) as error:
        Cifar("cifar100-subset", tmp_path)
    one_line(error, tmp_path, "cifar100/train-*.parquet", "cifar-100-python")


@pytest.mark.parametrize("file", ["train-00001-of-00002.parquet", "test-00000-of-00001.parquet"])
def test_missing_shard(tmp_path: Path, file: str) -> None:
    folder = parquet_folder(tmp_path, "cifar10")
    (folder / file).unlink()
    with pytest.raises(BadInput) as error:
        Cifar("cifar10-subset", tmp_path)
    one_line(error, folder, file.partition("-")[0])


def test_two_downloads_mixed(tmp_path: Path) -> None:
    folder = parquet_folder(tmp_path, "cifar10")
    write_parquet(folder / "train-00000-of-00001.parquet", "label", *pixels(5, 0))
    with pytest.raises(BadInput) as error:
        Cifar("cifar10-subset", tmp_path)
    one_line(error, folder, "train-00000-of-00001.parquet")


@pytest.mark.parametrize("keep", [0, 3, 500, -1])
def test_truncated_parquet_in_place_of_a_good_one(tmp_path: Path, keep: int) -> None:
    path = parquet_folder(tmp_path, "cifar10") / "train-00001-of-00002.parquet"
    Cifar("cifar10-subset", tmp_path).training_images(0, 4)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BadInput) as error:
        Cifar("cifar10-subset", tmp_path)
    one_line(error, path, "again")


def test_truncated_test_parquet(tmp_path: Path) -> None:
    path = parquet_folder(tmp_path, "cifar10") / "test-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    found = Cifar("cifar10-subset", tmp_path)
    with pytest.raises(BadInput) as error:
        found.split("test")
    one_line(error, path)


@pytest.mark.slow
def test_overwritten_pages_and_damaged_images(tmp_path: Path) -> None:
    path = parquet_folder(tmp_path, "cifar10") / "train-00001-of-00002.parquet"
    good = path.read_bytes()
    path.write_bytes(good[:4] + bytes(20_000) + good[20_004:])  # the footer is whole
    with pytest.raises(BadInput) as error:
        Cifar("cifar10-subset", tmp_path).split("train")
    one_line(error, path)
    path.write_bytes(good.replace(b"IHDR", b"IHDX"))  # the parquet is whole, its images are not
    with pytest.raises(BadInput) as error:
        Cifar("cifar10-subset", tmp_path).split("train")
    one_line(error, path.parent, "decode")


def test_wrong_columns(tmp_path: Path) -> None:
    folder = parquet_folder(tmp_path, "cifar10")
    with pytest.raises(BadInput) as error:
        Cifar("cifar100-subset", folder)
    one_line(error, folder / "train-00000-of-00002.parquet", "fine_label", "coarse_label, label, img")


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("img", pa.array(["x.png"] * 20), "struct"),
        ("label", pa.array(["cat"] * 20), "whole numbers"),
        ("label", pa.array([None] * 20, pa.int64()), "without label"),
        ("label", pa.array([10] * 20), "0 to 9"),
        ("label", pa.array([-1] * 20), "0 to 9"),
        ("img", pa.array([None] * 20, CELL), "without image bytes"),
        ("img", pa.array([{"bytes": None, "path": "http://example.org/x.png"}] * 20), "without image bytes"),
        ("img", cells(b""), "decode"),
        ("img", cells(encoded(BLACK)[:45]), "decode"),
        ("img", cells(encoded(BLACK, "BMP")), "decode"),
        ("img", cells(encoded(BLACK, mode="L")), "32x32 L"),
        ("img", cells(encoded(BLACK, mode="RGBA")), "32x32 RGBA"),
        ("img", cells(encoded(BLACK[:, :16, :16])), "16x16 RGB"),
        ("img", cells(encoded(BLACK[:, :, :16])[:45]), "16x32 RGB"),  # told before it is decoded
    ],
)
def test_wrong_content(tmp_path: Path, column: str, values: object, words: str) -> None:
    folder = parquet_folder(tmp_path, "cifar10")
    write_parquet(folder / "train-00000-of-00002.parquet", "label", *pixels(20, 0), **{column: values})
    with pytest.raises(BadInput) as error:
        Cifar("cifar10-subset", tmp_path).split("train")
    one_line(error, folder, words)


@pytest.mark.parametrize(("limit", "words"), [(1000, "40x40 RGB, not"), (500, "decompression bomb")])
def test_images_that_would_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder, limit: int, words: str
) -> None:
    """Pillow warns above its limit of pixels, and refuses above twice that."""
    folder = parquet_folder(tmp_path, "cifar10")
    write_parquet(folder / "test-00000-of-00001.parquet", "label", np.zeros((1, 3, 40, 40), np.uint8), np.zeros(1, int))
    found = Cifar("cifar10-subset", tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(BadInput) as error:
        found.split("test")
    one_line(error, folder, words)
    assert not recwarn.list


def test_no_images(tmp_path: Path) -> None:
    folder = parquet_folder(tmp_path, "cifar10", train=0)
    with pytest.raises(BadInput) as error:
        Cifar("cifar10-subset", tmp_path)
    one_line(error, folder, "no images")


def test_missing_batch_file(tmp_path: Path) -> None:
    folder = torchvision_folder(tmp_path, "cifar10")
    (folder / "data_batch_4").unlink()
    with pytest.raises(BadInput) as error:
        Cifar("cifar10-subset", tmp_path)
    one_line(error, folder / "data_batch_4")


# a part of CIFAR, which does not pass for CIFAR

OFFICIAL = {"train": 50_000, "test": 10_000}


def labels_of(name: str, part: str) -> np.ndarray:
    return np.arange(OFFICIAL[part]) % FACTS[name].classes


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_as_many_images_of_each_class_as_cifar_has_pass_for_it_in_any_order(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    black_folder(tmp_path, name, *(rng.permutation(labels_of(name, part)) for part in OFFICIAL))
    for called in (name, f"{name}-subset", f"{name}-16px", f"{name}-16px-subset"):
        found = load(called, tmp_path)
        assert len(found.training_images(0, 3)) == 3
    assert len(Cifar(name, tmp_path)._test.labels) == 10_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda labels: labels[:-1], "49,999 train images, 4,999 of them of class 9"),
        (lambda labels: labels[:25_000], "25,000 train images, 2,500 of them of class 0"),
        (lambda labels: np.append(labels, 3), "50,001 train images, 5,001 of them of class 3"),
        (
            lambda labels: np.where(np.arange(len(labels)) == 7, 2, labels),
            "50,000 train images, 5,001 of them of class 2",
        ),
        (lambda labels: labels[labels != 4], "45,000 train images, 0 of them of class 4"),
    ],
)
@pytest.mark.parametrize("called", ["cifar10", "cifar10-16px"])
def test_other_counts_are_refused_unless_asked_for_by_name(
    tmp_path: Path, spoil: Callable[[np.ndarray], np.ndarray], found: str, called: str
) -> None:
    folder = black_folder(tmp_path, "cifar10", spoil(labels_of("cifar10", "train")), labels_of("cifar10", "test"))
    with pytest.raises(BadInput) as error:
        load(called, tmp_path)
    one_line(error, folder, found, "cifar10 has 50,000, 5,000 of each class", "by a name that ends in -subset")
    assert load(f"{called}-subset", tmp_path).name == f"{called}-subset"


@pytest.mark.slow
def test_counts_of_the_test_images_are_told_when_they_are_read(tmp_path: Path) -> None:
    folder = black_folder(tmp_path, "cifar100", labels_of("cifar100", "train"), labels_of("cifar100", "test")[:-100])
    found = Cifar("cifar100", tmp_path)
    with pytest.raises(BadInput) as error:
        found.split("test")
    one_line(error, folder, "9,900 test images, 99 of them of class 0; cifar100 has 10,000, 100 of each class")
    assert len(Cifar("cifar100-subset", tmp_path).split("test")) == 9_900


def test_a_part_in_the_layout_of_torchvision_is_refused_too(tmp_path: Path) -> None:
    folder = torchvision_folder(tmp_path, "cifar10")
    with pytest.raises(BadInput) as error:
        Cifar("cifar10", tmp_path)
    one_line(error, folder, "60 train images", "-subset")


@pytest.mark.slow
def test_a_part_draws_other_images_than_the_whole(tmp_path: Path) -> None:
    """By the same seed from the same files: equal numbers under the two names would be taken for each other."""
    rng = np.random.default_rng(0)
    black_folder(tmp_path, "cifar10", *(rng.permutation(labels_of("cifar10", part)) for part in OFFICIAL))
    whole, part = (load(name, tmp_path).batch(64, 0) for name in ("cifar10", "cifar10-subset"))
    assert whole.hash != part.hash


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "cifar10-16px", "cifar100-16px"])
def test_a_part_has_its_own_benchmark(name: str) -> None:
    part = benchmark(f"{name}-subset")
    assert part == replace(benchmark(name), name=f"{name}-subset")
    assert part.data_set == f"{name}-subset"


def test_malicious_batch_file_is_refused_and_not_run(tmp_path: Path) -> None:
    path = torchvision_folder(tmp_path, "cifar100") / "train"
    marker = tmp_path / "it ran"

    class Evil:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(marker),)

    batch = pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "fine_labels": [0], "filenames": Evil()}, 2)
    path.write_bytes(batch)
    with pytest.raises(BadInput) as error:
        Cifar("cifar100-subset", tmp_path)
    one_line(error, path, "mkdir", "nothing was run")
    assert not marker.exists()
    pickle.loads(batch)  # the trap works
    assert marker.exists()


@pytest.mark.parametrize(("source", "module"), [("files", "pyarrow"), ("files", "PIL.Image"), ("hub", "datasets")])
def test_extra_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, module: str) -> None:
    parquet_folder(tmp_path, "cifar10")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BadInput) as error:
        Cifar("cifar10-subset", tmp_path if source == "files" else None)
    one_line(error, f"CIFAR needs the library '{module.partition('.')[0]}': pip install 'diswot-bench[cifar]'")


@pytest.mark.slow
def test_two_processes_at_once_write_nothing(tmp_path: Path) -> None:
    folder = parquet_folder(tmp_path / "data", "cifar10")
    before = sorted(folder.rglob("*"))
    program = (
        "import sys; from pathlib import Path; from images.cifar import Cifar; from common.files import content_hash\n"
        "assert not {'pyarrow', 'PIL', 'datasets'} & set(sys.modules)\n"
        "print(content_hash([Cifar('cifar10-subset', Path(sys.argv[1])).training_images(0, 16).images]))"
    )
    home = {"HOME": str(tmp_path / "home"), "HF_HOME": str(tmp_path / "home")}
    environment = {**os.environ, **home, "PYTHONPATH": str(Path(__file__).parents[2])}
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(2)
    ]
    outputs = [run.communicate(timeout=600) for run in runs]
    assert outputs[0] == outputs[1]
    assert len(outputs[0][0].strip()) == 64
    assert outputs[0][1] == ""
    assert sorted(folder.rglob("*")) == before
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
