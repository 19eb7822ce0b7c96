"""A file of the user's that stands in the place of a module is named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.entry import in_the_way, start

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
        f"error: {tmp_path / name}.py: Python imports this in place of a module of its own, of a library or of "
        "diswot-bench: rename it, or work elsewhere"
    ]


ELSEWHERE = "rename it, or work elsewhere"
IN_THE_WAY = "stands in the way of the package 'common' of diswot-bench"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["common.py", "common/__init__.py", "search.py", "search/__init__.py", "images.py"])
@pytest.mark.parametrize("words", ["bench run params --limit 2", "analysis tables", "distill status", "diswot_bench"])
def test_what_is_called_like_one_of_our_packages_is_named_or_does_no_harm(
    name: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(OWN)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", *words.split()]
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in found.stderr
    told = [line for line in found.stderr.splitlines() if line.startswith(f"error: {tmp_path / name.split('/')[0]}")]
    if told:
        assert found.returncode == 1
        assert told[0].endswith(ELSEWHERE)
    else:  # it is nothing that this command imports
        assert found.returncode in (0, 1, 2)
        assert name != "common.py"


@pytest.mark.slow
def test_workers_do_not_take_it_either(tmp_path: Path) -> None:
    """As the console script runs, for which the working folder is no place of modules."""
    (tmp_path / "common.py").write_text(OWN)
    code = "from diswot_bench.command import main; main()"
    words = ("run", "nwot", "--limit", "20", "--workers", "2", "--cells", "labelled")
    found = subprocess.run(
        [sys.executable, "-P", "-c", code, *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert "nwot" in found.stdout


def test_other_files_stand_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    (tmp_path / "glob.txt").write_text(OWN)
    assert in_the_way(tmp_path) == ""


def test_ctrl_c_while_a_command_is_imported_ends_it_with_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "imported_for_long.py").write_text("raise KeyboardInterrupt\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SystemExit) as end:
        start("imported_for_long")
    assert end.value.code == 130
    assert capsys.readouterr().err == "stopped before it began\n"
