"""The pages of docs/tutorials/ work: what each tells a reader to type is typed in a small copy of the tree.

A `console` block holds commands behind `$`, and beneath each lines that it prints, where `...` stands for more; what
stands behind two spaces and `#` is what it took when it was recorded. A block of Python that begins with `# FILE`
replaces that file. Numbers may differ, since the copy is small: what is around them may not.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import ROOT
from small_results import small_results
from test_guides import copied

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("make") is None, reason="there is no make on this machine"),
    pytest.mark.skipif(shutil.which("git") is None, reason="there is no git on this machine"),
]

CLONE = "/home/me/diswot-bench"
"""Where the clone lies that the pages tell of."""
TUTORIALS = sorted((ROOT / "docs/tutorials").glob("*.md"))
SMALL = {
    "make bench ": " CELLS=labelled LIMIT=30 WORKERS=1",
    "-m bench run ": " --cells labelled --limit 30 --workers 1",
}
"""What makes commands cheap, by what is in them."""
NUMBER = re.compile(r"\b[0-9a-f]{12,}\b|[+-]?\d[\d,]*(\.\d+)?")


class Step(NamedTuple):
    """A command, what it took, and lines that it prints."""

    command: str
    took: str
    prints: list[str]


def steps(page: str) -> list[Step | tuple[str, str]]:
    """What a page tells to do, in its order."""
    found: list[Step | tuple[str, str]] = []
    for language, text in re.findall(r"^```(console|python)\n(.*?)^```$", page, re.M | re.S):
        if language == "python":
            place, code = re.match(r"# (\S+\.py)\n(.*)", text, re.S).groups()  # type: ignore[union-attr]
            found.append((place, code))
            continue
        for block in re.split(r"^\$ ", text, flags=re.M)[1:]:
            line, *prints = block.splitlines()
            command, _, took = line.partition("  # ")
            found.append(Step(command, took, prints))
    return found


def alike(line: str) -> str:
    """A line without its numbers, and with single spaces."""
    return " ".join(NUMBER.sub("#", line).replace("-#", "#").split())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A clone whose installation is the one that runs the tests, and whose results are of a few cells."""
    made = copied(tmp_path / "tree")
    shutil.rmtree(made / "results")
    small_results(made / "results")
    shutil.copy(ROOT / "results/tables/ablation-digits.md", made / "results/tables")
    for name in ("Makefile", "setup.cfg", "constraints.txt", ".gitignore", "README.md"):
        shutil.copy(ROOT / name, made)
    (made / ".venv/bin").mkdir(parents=True)
    for name, words in {"python": "", "diswot-bench": " -m diswot_bench"}.items():
        script = made / ".venv/bin" / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}"{words} "$@"\n')
        script.chmod(0o755)
    for name in ("core", "report", "dev"):
        (made / f".venv/.{name}").touch()
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run(["git", *who, *words], cwd=made, check=True)
    return made


def run(command: str, tree: Path) -> str:
    """What a command prints, both ways."""
    for part, words in SMALL.items():
        if part in command:
            command += words
    told = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    environment = {name: value for name, value in os.environ.items() if name not in told}
    done = subprocess.run(
        command, shell=True, cwd=tree, env=environment, capture_output=True, text=True, timeout=3600, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_what_a_page_tells_to_type_prints_what_it_says(path: Path, tree: Path) -> None:
    for step in steps(path.read_text()):
        if isinstance(step, Step):
            printed = [alike(line) for line in run(step.command, tree).splitlines()]
            for line in step.prints:
                expected = alike(line.replace(CLONE, str(tree)).removesuffix("..."))
                found = any(one.startswith(expected) if line.endswith("...") else one == expected for one in printed)
                assert found, "\n".join([f"{step.command}: not {line!r} but", *printed])
        else:
            (tree / step[0]).write_text(step[1])


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_every_command_says_what_it_took(path: Path) -> None:
    commands = [step for step in steps(path.read_text()) if isinstance(step, Step)]
    assert len(commands) >= 4
    assert all(re.fullmatch(r"[\d.]+ s", step.took) for step in commands), [step.took for step in commands]


def test_there_is_a_page_for_each_of_three_readers() -> None:
    assert [path.stem for path in TUTORIALS] == ["idea", "paper", "review"]
    assert all(f"tutorials/{path.name}" in (ROOT / "docs/README.md").read_text() for path in TUTORIALS)
