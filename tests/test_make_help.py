"""`make help`, and a bare `make`: every target with its text, and nothing is installed for it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[1] / "Makefile"
TEXT = MAKEFILE.read_text(encoding="utf-8")
RULES = re.findall(r"^([\w./$()%-]+):(?!=)[^\n#]*(?:## *(.*))?$", TEXT, re.MULTILINE)
"""Each target with what stands behind `##`, files among them."""
NAMED = {name: text for name, text in RULES if re.fullmatch(r"[a-z][a-z-]*", name)}
PHONY = re.findall(r"^\.PHONY:(.*)$", TEXT, re.MULTILINE)[0].split()

with_make = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make on this machine")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The Makefile, alone."""
    shutil.copy(MAKEFILE, tmp_path)
    return tmp_path


def make(folder: Path, *words: str, python: str = "/nonexistent/python") -> subprocess.CompletedProcess[str]:
    """In a shell that another make, such as `make test`, has told nothing, where no Python is to be had."""
    told = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    environment = {name: value for name, value in os.environ.items() if name not in told}
    return subprocess.run(
        ["make", *words, f"PYTHON={python}"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_every_target_is_phony_and_has_a_text() -> None:
    assert "bench" in NAMED
    assert sorted(PHONY) == sorted(NAMED), "a file of a target's name would keep the target from running"
    assert [name for name, text in NAMED.items() if not text.strip()] == []
    assert len(set(NAMED.values())) == len(NAMED)


@with_make
@pytest.mark.parametrize("words", [(), ("help",)], ids=["bare", "help"])
def test_every_target_is_listed_with_its_text_in_the_order_of_the_makefile(
    folder: Path, words: tuple[str, ...]
) -> None:
    ended = make(folder, *words)
    assert (ended.returncode, ended.stderr) == (0, "")
    listed = [re.split(r" +", line, maxsplit=1) for line in ended.stdout.splitlines()]
    assert listed == [[name, text] for name, text in NAMED.items()]
    assert len({line.index(text) for line, text in zip(ended.stdout.splitlines(), NAMED.values(), strict=True)}) == 1
    assert [path.name for path in folder.iterdir()] == ["Makefile"], "nothing was installed"


@with_make
def test_other_targets_need_the_python_that_help_does_without(folder: Path) -> None:
    """So that the test before would fail if help asked for an installation."""
    for name in ("setup.cfg", "pyproject.toml", "constraints.txt"):
        (folder / name).touch()
    ended = make(folder, "setup")
    assert ended.returncode != 0
    assert "/nonexistent/python" in ended.stderr


@pytest.mark.slow
@with_make
def test_a_python_that_is_too_old_leaves_nothing_in_the_way_of_a_newer_one(folder: Path) -> None:
    for name in ("setup.cfg", "pyproject.toml", "constraints.txt"):
        (folder / name).touch()
    old, new = (stand_in(folder / name, version) for name, version in (("python3.10", 10), ("python3.12", 12)))
    ended = make(folder, "setup", python=str(old))
    assert ended.returncode != 0
    assert "Python 3.11 or newer is needed: make setup PYTHON=python3.12\n" in ended.stderr
    assert not (folder / ".venv").exists()
    subprocess.run([old, "-m", "venv", ".venv"], cwd=folder, check=True)  # as whoever did so by hand
    ended = make(folder, "setup", python=str(old))
    assert "Python 3.11 or newer is needed: make setup PYTHON=python3.12\n" in ended.stderr
    assert (folder / ".venv/bin/python").read_text() == old.read_text()
    ended = make(folder, "setup", python=str(new))
    assert "is needed" not in ended.stderr
    assert ended.stdout == "installing into .venv\n"
    assert (folder / ".venv/bin/python").read_text() == new.read_text(), "the older one gave way"


def stand_in(path: Path, minor: int) -> Path:
    """A Python that says it is 3.`minor`, whose environments hold a copy of it, and that installs nothing."""
    path.write_text(f"""#!/bin/sh
case "$1 $2" in
-c*) code="import sys; sys.version_info = (3, {minor}); $2"; shift 2; exec {sys.executable} -c "$code" "$@" ;;
"-m venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
*) exit 7 ;;
esac
""")
    path.chmod(0o755)
    return path


def test_the_quick_tests_are_those_that_are_not_marked_slow() -> None:
    recipe = TEXT.split("\ntest-quick:")[1].split("\n\n")[0]
    assert "-m 'not slow'" in recipe
    assert "-m 'not slow'" not in TEXT.split("\ntest:")[1].split("\n\n")[0]
