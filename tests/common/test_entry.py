"""A file of the user's that stands in the place of a module is named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.entry import in_the_way

ROOT = Path(__file__).parents[2]
OWN = '"""A proxy of mine."""\n\nFORMULA = 1\n'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words"), [("glob", "bench run nwot --limit 1"), ("random", "analysis"), ("typer", "search")]
)
def test_a_file_that_is_called_like_a_module_is_named_in_one_line(name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / f"{name}.py").write_text(OWN)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", *words.split()]
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert found.stderr.splitlines() == [
        f"error: {tmp_path / name}.py: Python imports this in place of its own module or of a library's: rename it, "
        "or work elsewhere"
    ]


def test_other_files_stand_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    (tmp_path / "glob.txt").write_text(OWN)
    assert in_the_way(tmp_path) == ""
