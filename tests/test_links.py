"""Every link and every path that a page or a docstring names leads somewhere."""

from __future__ import annotations

import itertools
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
PAGE = re.compile(r"(?<![\w./])docs/[\w./-]+\.md\b")
"""A page as a docstring, a comment or a message names it."""
FILE = re.compile(r"`([a-z]\w*(?:/[\w.-]+)+)`")
"""A path in the tree, as the pages of the architecture name it."""


@cache
def files(ending: str) -> list[Path]:
    """The files of the tree; what git ignores is not of it. Without git, all that is not hidden or installed."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", f"*{ending}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode == 0:
        return sorted(path for line in listed.stdout.splitlines() if (path := ROOT / line).is_file())
    hidden = ("build", "node_modules")
    found = (path for path in ROOT.rglob(f"*{ending}") if not path.is_relative_to(ROOT / "results" / "store"))
    return sorted(
        path for path in found if not any(part[0] == "." or part in hidden for part in path.relative_to(ROOT).parts)
    )


def broken_links(page: Path, text: str) -> list[str]:
    """The relative links of a page that lead nowhere, anchors left aside."""
    targets = [target.partition("#")[0] for target in LINK.findall(CODE.sub("", text))]
    return [target for target in targets if target and ":" not in target and not (page.parent / target).exists()]


def missing_pages(text: str) -> list[str]:
    """The pages `docs/....md` that a text names and that do not exist."""
    return [name for name in PAGE.findall(text) if not (ROOT / name).is_file()]


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def missing_anchors(page: Path, text: str) -> list[str]:
    """The links of a page to a heading that its target lacks."""
    found = []
    for target in LINK.findall(CODE.sub("", text)):
        path, _, anchor = target.partition("#")
        other = page.parent / path if path else page
        if anchor and ":" not in target and anchor not in anchors(other.read_text(encoding="utf-8")):
            found.append(target)
    return found


def test_every_relative_link_of_a_page_resolves() -> None:
    pages = files(".md")
    assert len(pages) > 10
    found = {str(page.relative_to(ROOT)): broken_links(page, page.read_text(encoding="utf-8")) for page in pages}
    assert not {page: links for page, links in found.items() if links}


@pytest.mark.slow
def test_every_anchor_of_a_link_is_a_heading() -> None:
    pages = files(".md")
    found = {str(page.relative_to(ROOT)): missing_anchors(page, page.read_text(encoding="utf-8")) for page in pages}
    assert not {page: links for page, links in found.items() if links}


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".py", ".md", ".cfg", ".toml", "Makefile"])
def test_every_page_that_a_file_names_exists(ending: str) -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in files(ending) if path != Path(__file__)}
    found = {str(path.relative_to(ROOT)): missing_pages(text) for path, text in texts.items()}
    assert not {path: names for path, names in found.items() if names}


def test_the_walks_name_files_that_exist() -> None:
    names = FILE.findall((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))
    assert len(names) > 15
    assert not [name for name in names if not (ROOT / name).exists()]


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target.partition("#")[0]).resolve() for target in LINK.findall(index.read_text())}
    pages = {path for path in files(".md") if path.is_relative_to(ROOT / "docs")} - {index}
    assert not {str(path.relative_to(ROOT)) for path in pages if path.resolve() not in linked}


def test_what_leads_nowhere_is_found() -> None:
    page = ROOT / "docs" / "x.md"
    text = "[a](nowhere.md) [b](../README.md#x) [c](https://example.org) [d](#here) `[e](code.md)` ![f](no.png)"
    assert broken_links(page, text) == ["nowhere.md", "no.png"]
    assert missing_pages("see docs/nowhere.md and ../docs/other.md") == ["docs/nowhere.md"]
    assert anchors("# A b\n\n## `c`: d, e\n") == {"a-b", "c-d-e"}


def made(text: str) -> set[str]:
    """The targets that the commands `make ...` of a page name; files in a hidden folder are not targets of the help."""
    lines = re.findall(r"(?:^    |`)make ([^`\n]*)", text, re.MULTILINE)
    words = (itertools.takewhile(re.compile("[a-z][a-z-]*$").match, line.partition("  ")[0].split()) for line in lines)
    return set(itertools.chain.from_iterable(words))


def test_every_make_command_of_a_page_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    pages = [ROOT / "README.md", *(path for path in files(".md") if path.is_relative_to(ROOT / "docs"))]
    found = {str(page.relative_to(ROOT)): made(page.read_text(encoding="utf-8")) - targets for page in pages}
    assert not {page: names for page, names in found.items() if names}


def test_targets_are_told_from_variables_and_words() -> None:
    text = "    make tables figures BENCH=x      and more\n`make test` `make .venv/.ray` make sense\n"
    assert made(text) == {"tables", "figures", "test"}
