"""CIFAR from parquet files, torchvision's batch files and the hub; what is wrong with a folder is one line."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from common.errors import BadInput, BadUsage
from images import load
from images.base import draw
from images.cifar import Cifar, _quiet

datasets = pytest.importorskip("datasets", reason="needs the extra 'cifar'")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
Image = pytest.importorskip("PIL.Image")

COLUMN = {"cifar10": "label", "cifar100": "fine_label"}
FILES = {
    "cifar10": ("cifar-10-batches-py", "labels", [f"data_batch_{i}" for i in range(1, 6)], ["test_batch"]),
    "cifar100": ("cifar-100-python", "fine_labels", ["train"], ["test"]),
}


DRAW = [44235, 19109, 38599, 33947]
VAL = [0, 12, 18, 22, 31, 38]


def pixels(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N, 3, 32, 32] and labels 0..9 [N]."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 3, 32, 32), np.uint8), rng.integers(0, 10, count)


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def write_parquet(path: Path, column: str, images: np.ndarray, labels: np.ndarray, **more: list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [{"bytes": png(image), "path": None} for image in images]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = {"coarse_label": pa.array([0] * len(labels)), column: pa.array(labels), "img": pa.array(cells, kind)}
    pq.write_table(pa.table({**table, **more}), path)


def parquet_folder(data: Path, name: str, train: int = 60, test: int = 7) -> Path:
    """data/NAME: the training images of `pixels(train, 0)` in two shards, the test images of `pixels(test, 1)`."""
    images, labels = pixels(train, 0)
    for shard, part in enumerate((slice(None, train // 3), slice(train // 3, None))):
        path = data / name / f"train-0000{shard}-of-00002.parquet"
        write_parquet(path, COLUMN[name], images[part], labels[part])
    write_parquet(data / name / "test-00000-of-00001.parquet", COLUMN[name], *pixels(test, 1))
    return data / name


def torchvision_folder(data: Path, name: str, keys: type = str, protocol: int = 2) -> Path:
    """The same images in torchvision's layout."""
    folder, key, train, test = FILES[name]
    (data / folder).mkdir(parents=True)
    for files, (images, labels) in ((train, pixels(60, 0)), (test, pixels(7, 1))):
        for file, at in zip(files, np.array_split(np.arange(len(labels)), len(files)), strict=True):
            batch = {"data": images[at].reshape(-1, 3072), key: labels[at].tolist(), "filenames": ["x"] * len(at)}
            if keys is bytes:
                batch = {k.encode(): v for k, v in batch.items()}
            (data / folder / file).write_bytes(pickle.dumps(batch, protocol=protocol))
    return data / folder


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


def one_line(error: pytest.ExceptionInfo[BadInput], *words: object) -> None:
    text = str(error.value)
    assert "\n" not in text
    for word in words:
        assert str(word) in text


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
@pytest.mark.parametrize("inside", [False, True])
def test_parquet(tmp_path: Path, name: str, inside: bool) -> None:
    folder = parquet_folder(tmp_path, name)
    found = load(name, folder if inside else tmp_path)
    assert isinstance(found, Cifar)
    assert (found.name, found.classes, found.size) == (name, {"cifar10": 10, "cifar100": 100}[name], 32)
    check_content(found)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(("keys", "protocol"), [(str, 2), (bytes, 2), (str, 5)])
def test_torchvision(tmp_path: Path, name: str, inside: bool, keys: type, protocol: int) -> None:
    folder = torchvision_folder(tmp_path, name, keys, protocol)
    check_content(Cifar(name, folder if inside else tmp_path))


def test_torchvision_layout_needs_no_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torchvision_folder(tmp_path, "cifar10")
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert len(Cifar("cifar10", tmp_path).training_images(0, 8)) == 8


def test_equal_sources_give_equal_batches(tmp_path: Path) -> None:
    parquet_folder(tmp_path / "a", "cifar100")
    torchvision_folder(tmp_path / "b", "cifar100")
    first, second = (Cifar("cifar100", tmp_path / part).batch(16, 3) for part in "ab")
    assert first.hash == second.hash
    assert first.images.shape == (16, 3, 32, 32)


def test_normalised_with_the_constants_of_the_benchmark(tmp_path: Path) -> None:
    parquet_folder(tmp_path, "cifar10")
    found = Cifar("cifar10", tmp_path)
    black, white = (found.normalise(np.full((1, 3, 32, 32), value, np.uint8))[0, :, 0, 0] for value in (0, 255))
    np.testing.assert_allclose(black, [-125.3 / 63.0, -123.0 / 62.1, -113.9 / 66.7], rtol=1e-5)
    np.testing.assert_allclose(white, [129.7 / 63.0, 132.0 / 62.1, 141.1 / 66.7], rtol=1e-5)


def test_training_images_are_seeded_distinct_and_not_of_val(tmp_path: Path) -> None:
    parquet_folder(tmp_path, "cifar10")
    found = Cifar("cifar10", tmp_path)
    train = {image.tobytes() for image in found.split("train").images}
    first = found.training_images(5, 54)
    assert {image.tobytes() for image in first.images} == train  # all of them, each once
    found.training_images(6, 20)
    np.testing.assert_array_equal(found.training_images(5, 20).images, first.images[:20])
    assert not np.array_equal(found.training_images(6, 20).images, first.images[:20])


def test_split_and_draw_leave_the_global_generator_alone(tmp_path: Path) -> None:
    parquet_folder(tmp_path, "cifar10")
    before = np.random.get_state()[1].copy()
    found = Cifar("cifar10", tmp_path)
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
    assert Cifar("cifar10", tmp_path)._val.tolist() == VAL


def test_only_the_drawn_images_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet_folder(tmp_path, "cifar10")
    decoded = []
    decode = datasets.Image.decode_example
    monkeypatch.setattr(
        datasets.Image, "decode_example", lambda self, *rest, **more: decoded.append(0) or decode(self, *rest, **more)
    )
    Cifar("cifar10", tmp_path).training_images(0, 6)
    assert len(decoded) == 6


@pytest.mark.parametrize(("seed", "count"), [(0, 55), (0, 0), (-1, 4)])
def test_impossible_draws(tmp_path: Path, seed: int, count: int) -> None:
    parquet_folder(tmp_path, "cifar10")
    with pytest.raises(BadUsage) as error:
        Cifar("cifar10", tmp_path).training_images(seed, count)
    one_line(error, "0" if seed else 54)


def test_unknown_names(tmp_path: Path) -> None:
    parquet_folder(tmp_path, "cifar10")
    with pytest.raises(BadUsage, match="did you mean 'test'"):
        Cifar("cifar10", tmp_path).split("tests")
    with pytest.raises(BadUsage, match="cifar1000"):
        Cifar("cifar1000", tmp_path)


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
        ("img", pa.array([{"bytes": None, "path": "http://example.org/x.png"}] * 20), "without image bytes"),
        ("img", pa.array([{"bytes": png(np.zeros((3, 16, 16), np.uint8)), "path": None}] * 20), "16x16"),
    ],
)
def test_wrong_content(tmp_path: Path, column: str, values: object, words: str) -> None:
    folder = parquet_folder(tmp_path, "cifar10")
    write_parquet(folder / "train-00000-of-00002.parquet", "label", *pixels(20, 0), **{column: values})
    with pytest.raises(BadInput) as error:
        Cifar("cifar10", tmp_path).split("train")
    one_line(error, folder, words)


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


def test_extra_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet_folder(tmp_path, "cifar10")
    monkeypatch.setitem(sys.modules, "datasets", None)
    for data in (tmp_path, None):
        with pytest.raises(BadInput) as error:
            Cifar("cifar10", data)
        one_line(error, "pip install 'diswot-bench[cifar]'")


def test_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = parquet_folder(tmp_path / "data", "cifar100")
    real = datasets.load_dataset
    asked = []
    images = True

    def from_folder(repository: str, split: str) -> object:
        asked.append((repository, split))
        files = {part: str(folder / f"{part}-*.parquet") for part in ("train", "test")}
        table = real("parquet", data_files=files, split=split, cache_dir=str(tmp_path / "cache"))
        return table.cast_column("img", datasets.Image()) if images else table

    monkeypatch.setattr(datasets, "load_dataset", from_folder)
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda self, repository, timeout: None)
    found = Cifar("cifar100", None)
    assert asked == [("uoft-cs/cifar100", "train")]
    check_content(found)
    assert found.batch(16, 3).hash == Cifar("cifar100", folder).batch(16, 3).hash
    images = False  # and were the columns to change there
    with pytest.raises(BadInput) as error:
        Cifar("cifar100", None)
    one_line(error, "uoft-cs/cifar100", "--data")


@pytest.mark.parametrize("problem", [ConnectionError("Couldn't reach\nthe hub"), OSError(28, "No space left")])
def test_hub_out_of_reach(monkeypatch: pytest.MonkeyPatch, problem: OSError) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise problem

    monkeypatch.setattr(datasets, "load_dataset", no_network)
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", no_network)
    with pytest.raises(BadInput) as error:
        Cifar("cifar10", None)
    one_line(error, "cifar10", "--data", "No space" if isinstance(problem, OSError) and problem.errno else "connection")
    assert datasets.config.HF_HUB_OFFLINE is (os.environ.get("HF_HUB_OFFLINE", "0") == "1")


def test_quiet(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(parquet_folder(tmp_path, "cifar10") / "test-*.parquet")
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda self, repository, timeout: None)
    with _quiet("uoft-cs/cifar10"):
        datasets.load_dataset("parquet", data_files=path, cache_dir=str(tmp_path / "quiet"))
    assert capfd.readouterr() == ("", "")
    datasets.load_dataset("parquet", data_files=path, cache_dir=str(tmp_path / "loud"))
    assert capfd.readouterr().err  # as it was before


def test_two_processes_at_once_write_nothing(tmp_path: Path) -> None:
    folder = parquet_folder(tmp_path / "data", "cifar10")
    before = sorted(folder.rglob("*"))
    program = (
        "import sys; from pathlib import Path; from images.cifar import Cifar; from common.files import content_hash\n"
        "print(content_hash([Cifar('cifar10', Path(sys.argv[1])).training_images(0, 16).images]))"
    )
    home = {"HOME": str(tmp_path / "home"), "HF_HOME": str(tmp_path / "home")}
    environment = {**os.environ, **home, "PYTHONPATH": str(Path(__file__).parents[1])}
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
    outputs = [run.communicate(timeout=60) for run in runs]
    assert outputs[0] == outputs[1]
    assert len(outputs[0][0].strip()) == 64
    assert outputs[0][1] == ""
    assert sorted(folder.rglob("*")) == before
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file()]


@cache
def real(name: str) -> Cifar:
    return Cifar(name, Path(os.environ["DISWOT_DATA"]))


needs_data = pytest.mark.skipif("DISWOT_DATA" not in os.environ, reason="set DISWOT_DATA to a folder with CIFAR")


@needs_data
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_real_sizes_and_constants(name: str) -> None:
    found = real(name)
    assert (len(found._train), len(found._val), len(found._test.labels)) == (45_000, 5_000, 10_000)
    images = found.training_images(0, 2_000).images / 255
    # the standard error of a mean over 2,000 images is about .004, since pixels of an image go together
    np.testing.assert_allclose(images.mean((0, 2, 3)), found.mean, atol=0.02)
    np.testing.assert_allclose(images.std((0, 2, 3)), found.std, atol=0.02)


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
