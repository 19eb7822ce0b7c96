"""A user's file or an installed package brings a data set, a space, a benchmark, known by name, in workers too."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, cast

import forked
import pytest
from conftest import Command, Ended, Fork

import images
from bench.benchmarks import Benchmark, benchmark, names
from bench.options import use
from common import modules
from common.errors import BadInput, BadUsage
from spaces.registry import space

MINE = '''
"""Widths of one hidden layer, on spots: images of noise that is brighter in one half."""

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import nn

from bench.benchmarks import Benchmark
from bench.teachers import ResNetTeacher
from images.base import DataSet, Split
from spaces.output import Output
from spaces.space import Skeleton, Space


class Spots(DataSet):
    name = "spots"
    classes, size, pad = 2, 8, 0
    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

    def split(self, name):
        rng = np.random.default_rng(len(name))
        labels = rng.integers(0, 2, 300)
        pixels = rng.integers(0, 128, (300, 3, 8, 8))
        pixels[:, :, :, 4:] += 60 * labels[:, None, None, None]
        return Split(pixels.astype(np.uint8), labels)


def load(name, data):
    return Spots()


@dataclass(frozen=True)
class Width:
    index: int

    def __str__(self):
        return f"w{1 + self.index}"


@dataclass(frozen=True)
class OneLayer(Skeleton):
    channels: int
    classes: int
    size: int
    described = "one layer"

    def record(self):
        return {"space": "widths", **asdict(self)}

    def count_parameters(self, width):
        return 27 * (C := self.channels * (1 + width.index)) + 2 * C + (C + 1) * self.classes

    def count_multiply_adds(self, width):
        return (27 * self.size**2 + self.classes) * self.channels * (1 + width.index)

    def count_layers(self, width):
        return 2

    def most_parameters(self):
        return self.count_parameters(Width(7))


class Network(nn.Module):
    def __init__(self, C, skeleton, draw):
        super().__init__()
        self.layer = nn.Sequential(*draw.conv_bn(f"widths/{C}", 3, C, 3), nn.ReLU())
        self.classifier = draw.linear(f"widths/{C}/classifier", C, skeleton.classes)

    def forward(self, images):
        maps = self.layer(images)
        pooled = maps.mean(dim=(2, 3))
        return Output(self.classifier(pooled), pooled, (maps,))


@dataclass(frozen=True)
class Widths(Space):
    name = "widths"
    choices = (tuple(f"w{1 + number}" for number in range(8)),)

    def at(self, index):
        return Width(*self.chosen(index))

    def builder(self, backbone):
        return build


def build(width, skeleton, draw, sees):
    return Network(skeleton.channels * (1 + width.index), skeleton, draw)


WIDTHS = Widths()
MINE = Benchmark("mine", OneLayer(4, 2, 8), ResNetTeacher(20, 4, (4, 8, 16), 2), WIDTHS, batch=16, images="spots")
'''


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


@pytest.fixture(autouse=True)
def afterwards() -> Iterator[None]:
    yield
    modules.use(())


# end to end


@pytest.mark.slow
def test_a_file_of_ones_own_is_run_in_workers_and_judged(mine: Path, tmp_path: Path, fork: Fork) -> None:
    def process(*said: object) -> Ended:
        return Ended(*fork(forked.python, "-m", *map(str, said)).end())

    words = ("--benchmark", "mine", "--module", "mine.py", "--store", "s.sqlite")
    ended = process("bench", "run", "nwot,params,kd", *words, "--limit", 5, "--workers", 2)
    assert ended.code == 0, ended.err
    assert "15 of 15 scores in s.sqlite" in ended.out
    ended = process("bench", "run", "nwot,params,kd", *words, "--workers", 1)
    assert "24 of 24 scores in s.sqlite" in ended.out
    assert "9 passes" not in ended.out, "what the workers scored is there"
    (tmp_path / "labels.csv").write_text("cell,accuracy\n" + "".join(f"w{n},{50 + n}\n" for n in range(1, 9)))
    ended = process("analysis", "correlate", "params", *words, "--against", "labels.csv", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)[0]["spearman"] == 1.0
    shown = process("bench", "show", "w3", "--space", "widths", "--module", "mine.py", "--store", "s.sqlite", "--json")
    assert {row["proxy"] for row in json.loads(shown.out)[0]["scores"]} == {"nwot", "params", "kd"}
    assert process("bench", "verify", "nwot", *words).code == 0


@pytest.mark.slow
def test_what_a_worker_scores_is_what_this_process_scores(mine: Path, tmp_path: Path, command: Command) -> None:
    for workers in (1, 2):
        words = ("--benchmark", "mine", "--module", mine, "--store", f"{workers}.sqlite", "--workers", workers)
        assert command("bench", "run", "nwot,kd", *words).code == 0
    ended = command("bench", "diff", "2.sqlite", "nwot,kd", *words[:4], "--store", "1.sqlite", "--json")
    assert [(row["cells"], row["largest"]) for row in json.loads(ended.out)] == [(8, 0.0), (8, 0.0)]


# by name


def test_names_are_known_while_the_file_is_in_use(mine: Path) -> None:
    before = names()
    use([mine])
    assert names() == [*before, "mine"]
    setting = benchmark("mine")
    assert setting.space == space("widths")
    assert len(images.load(setting.data_set).batch(16, 0).labels) == 16
    assert modules.in_use() == (mine,)
    use(())
    assert names() == before
    for named in (benchmark, space, images.load):
        with pytest.raises(BadUsage, match="unknown"):
            named("mine")


def test_a_skeleton_without_a_size_is_bad_usage_that_names_it() -> None:
    class Bare:
        classes, size = 10, 16

    digits = benchmark("digits")
    with pytest.raises(BadUsage, match="'bare' has a skeleton without 'channels', a whole number"):
        Benchmark("bare", cast("Any", Bare()), digits.teacher, digits.space)


@pytest.mark.slow
def test_an_unknown_name_is_suggested_from_the_users_file_too(mine: Path, command: Command) -> None:
    ended = command("bench", "run", "nwot", "--benchmark", "mines", "--module", mine)
    assert (ended.code, ended.error) == (2, "unknown benchmark 'mines': did you mean 'mine'?")
    ended = command("bench", "show", "w9", "--space", "widths", "--module", mine)
    assert ended.code == 2
    assert "unknown architecture of the space widths 'w9'" in ended.error


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"mine"', '"digits"', "there is a benchmark named 'digits' already; choose another name"),
        ('name = "widths"', 'name = "resnet"', "there is a space named 'resnet' already; choose another name"),
        ('name = "spots"', 'name = "cifar10"', "there is a data set named 'cifar10' already; choose another name"),
        ("def load(", "def loads(", "the data set spots needs a function load(name, data)"),
        ("from torch import nn", "from torch import n", "ImportError: cannot import name 'n'"),
        ('images="spots"', 'image="spots"', "TypeError: Benchmark.__init__() got an unexpected keyword argument"),
    ],
)
def test_a_file_that_cannot_serve_ends_in_one_line(
    old: str, new: str, expected: str, mine: Path, command: Command
) -> None:
    assert MINE.count(old) >= 1
    mine.write_text(MINE.replace(old, new))
    ended = command("bench", "run", "nwot", "--benchmark", "mine", "--module", "mine.py", "--limit", 2)
    assert ended.code == 1
    assert "mine.py" in ended.error
    assert expected in ended.error


def test_what_a_file_imports_is_no_other_thing_of_that_name(mine: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text(
        "from dataclasses import replace\nfrom bench.benchmarks import benchmark\nfrom images.digits import Digits\n"
        "from spaces.nb201.space import NB201\n"
        'OTHER = replace(benchmark("digits"), name="other", batch=8, images="digits")\n'
    )
    use([mine, other])
    assert {"mine", "other"} <= set(names())
    assert benchmark("other").space is space("nb201")


def test_a_data_set_may_be_an_object(tmp_path: Path) -> None:
    path = tmp_path / "ink.py"
    path.write_text(
        "import numpy as np\nfrom bench.benchmarks import of_images\nfrom images.arrays import ArrayImages\n"
        "from images.digits import Digits\nTHEIRS = Digits()\n"
        "pixels = np.random.default_rng(0).integers(0, 256, (40, 3, 8, 8), np.uint8)\n"
        'IMAGES = ArrayImages("ink", pixels, np.arange(40) % 2)\n'
        'INK = of_images("ink-cells", IMAGES, channels=4, cells_per_stage=1, batch=8)\n'
    )
    use([path])
    assert images.load(benchmark("ink-cells").data_set) is modules.load(path).IMAGES
    assert images.load("digits").name == "digits"


# installed packages


def test_packages_bring_them_by_entry_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_package.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    groups = [f"diswot_bench.{kind}" for kind in ("benchmarks", "spaces", "data_sets")]
    entries = {group: [EntryPoint("theirs", "their_package", group)] for group in groups}
    monkeypatch.setattr(modules, "entry_points", lambda group: entries.get(group, []))
    modules.installed.cache_clear()
    try:
        assert benchmark("mine").space == space("widths")
        assert images.load("spots").classes == 2
        entries["diswot_bench.spaces"] = [EntryPoint("broken", "no_such_package", "diswot_bench.spaces")]
        modules.installed.cache_clear()
        with pytest.raises(BadInput, match="entry point broken = no_such_package cannot be imported"):
            space("nb201")
    finally:
        modules.installed.cache_clear()
        sys.modules.pop("their_package", None)
