"""A teacher of one's own in place of a benchmark's: scores read it, identity holds its weights, and no path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.benchmarks import benchmark, teacher_name, with_teacher
from bench.runner import Request, execute
from bench.store import ScoreStore
from common.errors import BadInput
from proxies.registry import create

DIGITS = benchmark("digits")
FILE = """
import torch
from torch import nn
from spaces.draw import Draw
from spaces.nb201.cell import cell_at
from spaces.nb201.network import CellNetwork
from spaces.nb201.skeleton import CellSkeleton

def same():
    return CellNetwork(cell_at(1462), CellSkeleton(8, 3, 10, 16), Draw(0, role="teacher ", momentum=0.0))

def plain():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10)]
    return nn.Sequential(*layers)

def drawn_anew():
    return nn.Sequential(nn.Flatten(), nn.Linear(768, 10))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


@pytest.mark.slow
def test_the_benchmarks_own_teacher_from_a_file_gives_its_scores(file: Path, tmp_path: Path) -> None:
    own = with_teacher(DIGITS, f"{file}:same")
    found = {}
    for name, setting in (("own", own), ("default", DIGITS)):
        store = ScoreStore(tmp_path / f"{name}.sqlite")
        execute(Request(setting, ("diswot", "kd"), (0,), cells="functions", limit=3), store)
        for proxy in map(create, ("diswot", "kd")):
            (entry,) = store.scores("digits", proxy, setting.teacher.record())
            found[name, proxy.name] = [row.score for row in entry.rows]
        store.close()
    assert found["own", "diswot"] == pytest.approx(found["default", "diswot"], rel=1e-5)
    assert found["own", "kd"] == pytest.approx(found["default", "kd"], rel=1e-5)


def test_its_record_holds_the_weights_and_no_folder(file: Path, tmp_path: Path) -> None:
    record = with_teacher(DIGITS, f"{file}:plain").teacher.record()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.py").write_text(FILE)
    assert with_teacher(DIGITS, f"{elsewhere}/mine.py:plain").teacher.record() == record
    assert record["name"] == "mine.py:plain"
    assert teacher_name("digits", record) == f"plain-{record['hash'][:8]}"


def test_mode_and_activation_are_part_of_it(file: Path, tmp_path: Path) -> None:
    changed = {
        "as it was": FILE,
        "evaluated": FILE.replace("return nn.Sequential(*layers)", "return nn.Sequential(*layers).eval()"),
        "smooth": FILE.replace("nn.ReLU()", "nn.GELU()"),
    }
    hashes = {}
    for name, text in changed.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(text)
        hashes[name] = with_teacher(DIGITS, f"{tmp_path / name}/mine.py:plain").teacher.record()["hash"]
    assert hashes["as it was"] == with_teacher(DIGITS, f"{file}:plain").teacher.record()["hash"]
    assert len(set(hashes.values())) == 3


def test_a_file_without_a_function_says_how_to_name_one(file: Path) -> None:
    with pytest.raises(BadInput, match=r"say which function of it returns the network, .*mine\.py:FUNCTION"):
        with_teacher(DIGITS, str(file))


def test_one_that_is_drawn_anew_is_refused(file: Path) -> None:
    with pytest.raises(BadInput, match="has other weights each time it is made: load them from a file"):
        with_teacher(DIGITS, f"{file}:drawn_anew")


@pytest.mark.slow
def test_the_command_scores_with_it_and_says_its_name(command: Callable[..., Any], file: Path) -> None:
    words = ("kd,diswot", "--teacher", f"{file}:plain", "--cells", "functions", "--limit", 4, "--workers", 2)
    ended = command("bench", "run", *words)
    assert ended.code == 0, ended.err
    status = command("bench", "status")
    assert "kd@plain-" in status.out
    assert "diswot@plain-" in status.out
    assert "has no function other" in command("bench", "run", "kd", "--teacher", f"{file}:other").error
