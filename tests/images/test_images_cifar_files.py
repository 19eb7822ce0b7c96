"""What is wrong with the files of CIFAR is told in one line; nothing in them is run, and nothing is written."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cifar_files import CELL, encoded, one_line, parquet_folder, pixels, torchvision_folder, write_parquet

from common.errors import BadInput
from images.cifar import Cifar

pa = pytest.importorskip("pyarrow", reason="needs the extra 'cifar'")
Image = pytest.importorskip("PIL.Image")

BLACK = np.zeros((3, 32, 32), np.uint8)


def cells(data: bytes) -> object:
    return pa.array([{"bytes": data, "path": None}] * 20, CELL)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as error:
        Cifar("cifar100", tmp_path / "nowhere")
    one_line(error, tmp_path / "nowhere", "--data")


def test_folder_of_neither_layout(tmp_path: Path) -> None:
    parquet_folder(tmp_path, "cifar10")  # the other data set, in its own folder
    with pytest.raises(BadInput) as error:
        Cifar("cifar100", tmp_path)
    one_line(error, tmp_path, "cifar100/train-*.parquet", "cifar-100-python")


@pytest.mark.parametrize("file", ["train-00001-of-00002.parquet", "test-00000-of-00001.parquet"])
def test_missing_shard(tmp_path: Path, file: str) -> None:
    folder = parquet_folder(tmp_path, "cifar10")
    (folder / file).unlink()
    with pytest.raises(BadInput) as error:
        Cifar("cifar10", tmp_path)
    one_line(error, folder, file.partition("-")[0])


def test_two_downloads_mixed(tmp_path: Path) -> None:
    folder = parquet_folder(tmp_path, "cifar10")
    write_parquet(folder / "train-00000-of-00001.parquet", "label", *pixels(5, 0))
    with pytest.raises(BadInput) as error:
        Cifar("cifar10", tmp_path)
    one_line(error, folder, "train-00000-of-00001.parquet")


@pytest.mark.parametrize("keep", [0, 3, 500, -1])
def test_truncated_parquet_in_place_of_a_good_one(tmp_path: Path, keep: int) -> None:
    path = parquet_folder(tmp_path, "cifar10") / "train-00001-of-00002.parquet"
    Cifar("cifar10", tmp_path).training_images(0, 4)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BadInput) as error:
        Cifar("cifar10", tmp_path)
    one_line(error, path, "again")


def test_truncated_test_parquet(tmp_path: Path) -> None:
    path = parquet_folder(tmp_path, "cifar10") / "test-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    found = Cifar("cifar10", tmp_path)
    with pytest.raises(BadInput) as error:
        found.split("test")
    one_line(error, path)


def test_overwritten_pages_and_damaged_images(tmp_path: Path) -> None:
    path = parquet_folder(tmp_path, "cifar10") / "train-00001-of-00002.parquet"
    good = path.read_bytes()
    path.write_bytes(good[:4] + bytes(20_000) + good[20_004:])  # the footer is whole
    with pytest.raises(BadInput) as error:
        Cifar("cifar10", tmp_path).split("train")
    one_line(error, path)
    path.write_bytes(good.replace(b"IHDR", b"IHDX"))  # the parquet is whole, its images are not
    with pytest.raises(BadInput) as error:
        Cifar("cifar10", tmp_path).split("train")
    one_line(error, path.parent, "decode")


def test_wrong_columns(tmp_path: Path) -> None:
    folder = parquet_folder(tmp_path, "cifar10")
    with pytest.raises(BadInput) as error:
        Cifar("cifar100", folder)
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
        Cifar("cifar10", tmp_path).split("train")
    one_line(error, folder, words)


@pytest.mark.parametrize(("limit", "words"), [(1000, "40x40 RGB, not"), (500, "decompression bomb")])
def test_images_that_would_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder, limit: int, words: str
) -> None:
    """Pillow warns above its limit of pixels, and refuses above twice that."""
    folder = parquet_folder(tmp_path, "cifar10")
    write_parquet(folder / "test-00000-of-00001.parquet", "label", np.zeros((1, 3, 40, 40), np.uint8), np.zeros(1, int))
    found = Cifar("cifar10", tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(BadInput) as error:
        found.split("test")
    one_line(error, folder, words)
    assert not recwarn.list


def test_no_images(tmp_path: Path) -> None:
    folder = parquet_folder(tmp_path, "cifar10", train=0)
    with pytest.raises(BadInput) as error:
        Cifar("cifar10", tmp_path)
    one_line(error, folder, "no images")


def test_missing_batch_file(tmp_path: Path) -> None:
    folder = torchvision_folder(tmp_path, "cifar10")
    (folder / "data_batch_4").unlink()
    with pytest.raises(BadInput) as error:
        Cifar("cifar10", tmp_path)
    one_line(error, folder / "data_batch_4")


def test_malicious_batch_file_is_refused_and_not_run(tmp_path: Path) -> None:
    path = torchvision_folder(tmp_path, "cifar100") / "train"
    marker = tmp_path / "it ran"

    class Evil:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(marker),)

    batch = pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "fine_labels": [0], "filenames": Evil()}, 2)
    path.write_bytes(batch)
    with pytest.raises(BadInput) as error:
        Cifar("cifar100", tmp_path)
    one_line(error, path, "mkdir", "nothing was run")
    assert not marker.exists()
    pickle.loads(batch)  # the trap works
    assert marker.exists()


@pytest.mark.parametrize(("source", "module"), [("files", "pyarrow"), ("files", "PIL.Image"), ("hub", "datasets")])
def test_extra_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, module: str) -> None:
    parquet_folder(tmp_path, "cifar10")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BadInput) as error:
        Cifar("cifar10", tmp_path if source == "files" else None)
    one_line(error, f"CIFAR needs the library '{module.partition('.')[0]}': pip install 'diswot-bench[cifar]'")


def test_two_processes_at_once_write_nothing(tmp_path: Path) -> None:
    folder = parquet_folder(tmp_path / "data", "cifar10")
    before = sorted(folder.rglob("*"))
    program = (
        "import sys; from pathlib import Path; from images.cifar import Cifar; from common.files import content_hash\n"
        "assert not {'pyarrow', 'PIL', 'datasets'} & set(sys.modules)\n"
        "print(content_hash([Cifar('cifar10', Path(sys.argv[1])).training_images(0, 16).images]))"
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
