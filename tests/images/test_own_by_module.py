"""Images of one's own on the command line: a file of two lines, given as --module, names their benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Command
from folder_files import write_folder

from bench.store import ScoreStore
from common import modules
from images import load

FOLDER = """
from bench.benchmarks import of_images
BIRDS = of_images("birds", "folder:own", channels=4, cells_per_stage=1, batch=8)
"""
MEMORY = """
import numpy as np
from bench.benchmarks import of_images
from images.arrays import ArrayImages
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 3, 8, 8), np.uint8)
IMAGES = ArrayImages("noise", PIXELS, np.arange(40) % 2)
NOISE = of_images("noise", IMAGES, channels=4, cells_per_stage=1, batch=8)
"""
RUN = ("bench", "run", "params,nwot", "--limit", 2, "--module", "mine.py", "--device", "cpu")


@pytest.fixture(autouse=True)
def _used() -> object:
    yield
    modules.use(())


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("name", "text"), [("birds", FOLDER), ("noise", MEMORY)])
def test_cells_are_scored(command: Command, tmp_path: Path, name: str, text: str, workers: int) -> None:
    write_folder(tmp_path / "own", {"a": 12, "b": 12})
    (tmp_path / "mine.py").write_text(text)
    ran = command(*RUN, "--benchmark", name, "--workers", workers)
    assert ran.code == 0, ran.err
    entries = ScoreStore(tmp_path / "results/store/scores.sqlite", write=False).overview()
    assert [(entry["proxy"], entry["benchmark"], entry["ok"]) for entry in entries] == [
        ("nwot", name, 2),
        ("params", name, 2),
    ]
    if name == "noise":
        assert load("noise").counts() == {"train": 36, "val": 4, "test": 0}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            "own/a/x.txt",
            "own/a/x.txt is no image by its name: images end in .png, .jpg, .jpeg, .webp; move it elsewhere",
        ),
        ("own/a/x.png", "own/a/x.png holds no PNG, JPEG or WebP image: replace or remove it"),
    ],
)
def test_what_is_wrong_is_one_line(command: Command, tmp_path: Path, spoil: str, words: str) -> None:
    write_folder(tmp_path / "own", {"a": 12, "b": 12})
    (tmp_path / spoil).write_text("")
    (tmp_path / "mine.py").write_text(FOLDER)
    ended = command(*RUN, "--benchmark", "birds", "--workers", 1)
    assert (ended.code, ended.error) == (1, words)


def test_two_folders_are_one_too_many(command: Command, tmp_path: Path) -> None:
    write_folder(tmp_path / "own", {"a": 12, "b": 12})
    (tmp_path / "mine.py").write_text(FOLDER)
    ended = command(*RUN, "--benchmark", "birds", "--workers", 1, "--data", ".")
    assert (ended.code, ended.error) == (2, "--data .: the images of this benchmark are those of own")
