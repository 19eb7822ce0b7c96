"""A teacher of one's own teaches as the project's do, and what cannot teach is refused in a line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from common.errors import BadInput
from distill.networks import load_weights, own_network
from distill.recipe_name import is_own, short_name
from distill.tables import read_table

FILE = """
import torch
from torch import nn
from distill.networks import load_weights

def made():
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))

class Dicts(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = made()
    def forward(self, images):
        return {"logits": self.inner(images)}

def of_dict():
    return Dicts()

def loaded():
    return load_weights(made(), WEIGHTS)

def other_each_time():
    return nn.Sequential(nn.Flatten(), nn.Linear(768, 10))

def of_three():
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(768, 3))

def of_small_images():
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 10))

def nothing():
    return 3

def broken():
    raise ValueError("no such layer")
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(FILE.replace("WEIGHTS", repr(str(tmp_path / "w.pt"))))
    return path


def test_names_are_told_apart() -> None:
    assert is_own("dir/mine.py:made")
    assert not any(map(is_own, ("digits", "random:3", "mine.py", "mine.py:", "mine.py:a-b", "mine:made")))
    assert (short_name("some/where/mine.py:made"), short_name("digits-resnet20")) == ("mine.py:made", "digits-resnet20")


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_weights_come_from_a_file(file: Path, tmp_path: Path, suffix: str) -> None:
    network = own_network(f"{file}:made")
    with torch.no_grad():
        for value in network.parameters():
            value.add_(1)
    path = tmp_path / f"w.{suffix}"
    if suffix == "pt":
        torch.save(network.state_dict(), path)
    else:
        pytest.importorskip("safetensors.torch", reason="pip install safetensors").save_file(network.state_dict(), path)
    again = load_weights(own_network(f"{file}:made"), path)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True))
    with pytest.raises(BadInput, match=r"cannot take the weights of .*save a state dict of this network"):
        load_weights(nn.Linear(2, 2), path)


def test_what_torch_would_unpickle_is_not(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "whole.pt")
    with pytest.raises(BadInput, match=r"cannot take the weights of .*whole\.pt"):
        load_weights(nn.Linear(2, 2), tmp_path / "whole.pt")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("other_each_time", "has other weights each time it is made: load them from a file"),
        ("of_three", "answers two images with [2, 3]: wanted are [2, 10]"),
        ("of_small_images", "cannot read images [2, 3, 16, 16] (RuntimeError: mat1 and mat2"),
        ("nothing", "nothing returns a int, not a torch.nn.Module"),
        ("broken", "ValueError: no such layer"),
        ("missing", "has no function missing"),
    ],
)
def test_what_cannot_teach_is_refused(command: Callable[..., Any], file: Path, name: str, said: str) -> None:
    ended = command("distill", "run", "--benchmark", "digits-rehearsal", "--teacher", f"{file}:{name}", "--limit", 1)
    assert said in ended.error
    assert ended.code == 1


@pytest.mark.slow
def test_it_teaches_and_its_name_and_weights_are_in_the_record(
    command: Callable[..., Any], file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("images.digits.SCENES", {"val": 40, "test": 60})

    def trained(name: str) -> tuple[Any, dict[str, Any]]:
        words = ("--benchmark", "digits-rehearsal", "--teacher", name, "--limit", 1, "--workers", 1)
        ended = command("distill", "run", *words, "--output", tmp_path / "tables")
        assert ended.code == 0, ended.err
        path = Path(ended.out.split("wrote ")[2].strip())
        return read_table(path).rows["test"].tolist(), json.loads(path.with_name(path.name[:-7] + ".json").read_text())

    first, record = trained(f"{file}:made")
    assert record["recipe"]["teacher"] == "mine.py:made"
    in_dict, other = trained(f"{file}:of_dict")
    assert in_dict == first, "how a teacher hands out its logits changes nothing"
    assert other["recipe"]["teacher_hash"] != record["recipe"]["teacher_hash"], "its weights have other names"
