"""`make new-proxy` writes a file that runs, passes the contract and the linter, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.new_proxy import create
from common.errors import BadUsage
from proxies.registry import create as create_proxy
from proxies.registry import known
from proxies.testing import check_proxy


@pytest.mark.slow
def test_the_written_file_is_a_proxy_that_keeps_the_contract(tmp_path: Path) -> None:
    path = create("written_by_test", 2026, tmp_path)
    cls = known((path,))["written_by_test"]
    check_proxy(cls)
    assert cls.reference.year == 2026
    assert create_proxy("written_by_test:power=2", (path,)) == cls(power=2.0)  # type: ignore[call-arg]


@pytest.mark.slow
def test_the_written_file_needs_no_linting(tmp_path: Path) -> None:
    pytest.importorskip("ruff", reason="ruff comes with the dev extra")
    path = create("linted", 2026, tmp_path)
    root = Path(__file__).parents[2]
    for action in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *action, "--config", str(root / "pyproject.toml"), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=root)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "name", ["Mine", "1st", "my-proxy", "a b", "", "nwot", "../x", "all", "class", "import", "a,b"]
)
def test_names_that_cannot_be_or_are_taken_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadUsage):
        create(name, 2026, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    path = create("twice", 2026, tmp_path)
    before = path.read_bytes()
    with pytest.raises(BadUsage, match="already"):
        create("twice", 2025, tmp_path)
    assert path.read_bytes() == before


@pytest.mark.slow
def test_outside_a_clone_it_is_written_here_and_runs_as_a_module(command: Callable[..., Any], tmp_path: Path) -> None:
    ended = command("bench", "new-proxy", "mine")
    assert ended.out.startswith("wrote mine.py: ")
    assert "diswot-bench run mine --module mine.py" in ended.out
    ran = command(
        "diswot_bench", "run", "mine", "--module", "mine.py", "--limit", 4, "--cells", "labelled", "--workers", 1
    )
    assert ran.code == 0, ran.err
    assert "4 of 4 scores" in ran.out
