"""The pages of docs/guides/ work: what each tells a reader to write is written into a copy of the tree and run.

A block of a page that begins with `# FILE` is a new file; `# FILE, in NAME` is an entry, put at the end of what NAME is
bound to, its imports at the top of the file; `# FILE, above NAME` stands in front of that statement. Lines of `sh`
blocks are run in their order, and what stands behind `#` is part of what they print. The tests of the examples, which
the pages name, are in tests/guides/.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import forked
import pytest
from conftest import Fork
from test_rooms import ROOMS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
GUIDES = sorted((ROOT / "docs/guides").glob("*.md"))
TESTS = re.compile(r"\]\(\.\./\.\./(tests/guides/\w+\.py)\)")
PLACE = re.compile(r"# (?P<file>\S+\.py)(?:, (?P<how>in|above) (?P<name>\w+))?\n")


class Block(NamedTuple):
    """A block of code: where it belongs, and what it says."""

    file: str
    how: str
    name: str
    code: str


def fenced(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.M | re.S)


def blocks(page: str) -> list[Block]:
    found = []
    for text in fenced(page, "python"):
        place = PLACE.match(text)
        assert place is not None, f"a block without a place: {text[:60]}"
        found.append(Block(place["file"], place["how"] or "", place["name"] or "", text[place.end() :]))
    return found


class Command(NamedTuple):
    """A line of a page: `python WORDS  # what it prints`."""

    words: list[str]
    prints: str


def commands(page: str) -> list[Command]:
    found = []
    for line in "".join(fenced(page, "sh")).splitlines():
        python, *words = line.partition("  # ")[0].split()
        assert python == "python", line
        found.append(Command(words, line.partition("  # ")[2]))
    return found


def statement(source: str, name: str) -> ast.stmt:
    """The top-level statement that binds a name."""
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        bound = {target.id for target in targets if isinstance(target, ast.Name)} | {getattr(node, "name", "")}
        if name in bound:
            return node
    raise AssertionError(f"nothing is called {name}")


def inserted(source: str, block: Block) -> str:
    """The source with an entry at its place, each of its import lines behind the file's first import."""
    lines, entry = source.splitlines(), block.code.strip("\n").splitlines()
    node = statement(source, block.name)
    if block.how == "above":
        decorators = getattr(node, "decorator_list", [])
        at = min([node.lineno, *(one.lineno for one in decorators)]) - 1
        return "\n".join([*lines[:at], *entry, "", "", *lines[at:]]) + "\n"
    at = node.end_lineno or 0
    while re.fullmatch(r"[\s)\]}]*", lines[at - 1]):
        at -= 1
    imports = [line for line in entry if line.startswith("from ")]
    indent = re.match(r"\s*", lines[at - 1])[0]  # type: ignore[index]
    put = [indent + line for line in entry if line and line not in imports]
    future = next((n for n, line in enumerate(lines, 1) if line.startswith("from __future__")), 0)
    return "\n".join([*lines[:future], *imports, *lines[future:at], *put, *lines[at:]]) + "\n"


def follow(page: str, tree: Path) -> None:
    """Do to a copy of the tree what a page says."""
    for block in blocks(page):
        path = tree / block.file
        if block.how:
            path.write_text(inserted(path.read_text(), block))
        else:
            assert not path.exists(), f"{block.file} is there already"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code)


def copied(tree: Path) -> Path:
    """The code and what it reads, in a folder of its own."""
    without = shutil.ignore_patterns("*.pyc.*")  # what is being written; what is compiled is valid there as well
    for room in ROOMS:
        shutil.copytree(ROOT / room, tree / room, ignore=without)
    for folder in ("tests/support", "tests/guides"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=without)
    shutil.copytree(ROOT / "results/accuracies", tree / "results/accuracies")
    (tree / "docs").mkdir()
    for file in ("tests/conftest.py", "pyproject.toml", "docs/references.bib"):
        shutil.copy(ROOT / file, tree / file)
    return tree


def ended_well(words: Sequence[str], code: int, out: str, err: str) -> str:
    """What was printed. A run may find cells without a score."""
    assert code == 0 or (code == 3 and "bench" in words), f"{' '.join(words)}\n{out}\n{err}"
    return out


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_what_a_page_says_works(path: Path, tmp_path: Path, fork: Fork) -> None:
    page, tree = path.read_text(), copied(tmp_path / "tree")
    follow(page, tree)

    def run(*words: str) -> str:
        return ended_well(words, *fork(forked.python, *words, folder=tree).end())

    for command in commands(page):
        assert command.prints in (printed := run(*command.words)), f"not {command.prints!r} but\n{printed}"
    for test in TESTS.findall(page):
        run("-m", "pytest", "-p", "no:cacheprovider", test)


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_the_code_of_a_page_needs_no_linting(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("ruff", reason="ruff comes with the dev extra")
    tree = copied(tmp_path / "tree")
    follow(path.read_text(), tree)
    files = [block.file for block in blocks(path.read_text()) if not block.how]
    for words in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, *files], cwd=tree, capture_output=True, text=True, timeout=600
        )
        ended_well(words, done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_a_page_is_short(path: Path) -> None:
    """Beside the code that a reader copies, and what a command writes."""
    aside = re.compile(r"^```(?:python|bash)\n.*?^```$|^<!-- .*? made by .*?^<!-- end", re.M | re.S)
    prose = aside.sub("", path.read_text())
    assert len(prose.splitlines()) <= 50


def test_every_example_that_has_tests_names_them() -> None:
    named = {link for path in GUIDES for link in TESTS.findall(path.read_text())}
    assert named == {str(path.relative_to(ROOT)) for path in (ROOT / "tests/guides").glob("*.py")}
    assert {Path(link).stem for link in named} == {"stripes", "plain", "cosine", "halves", "pyramid"}


def test_an_entry_stands_at_the_end_of_what_it_is_put_in() -> None:
    source = (
        "from __future__ import annotations\n\nX = {\n    each.name: each\n    for each in (\n        A,\n    )\n}\n"
    )
    found = inserted(source, Block("x.py", "in", "X", "from b import B\nB,\n"))
    assert found.splitlines()[1] == "from b import B"
    assert found.endswith("        A,\n        B,\n    )\n}\n")
    above = inserted(source, Block("x.py", "above", "X", "def f() -> None: ...\n"))
    assert above.index("def f") < above.index("X = {")
