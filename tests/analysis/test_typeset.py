"""Tables in Markdown and LaTeX hold the same cells, whatever characters they are made of."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from analysis.typeset import Table

text = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8)


def cells(width: int) -> st.SearchStrategy[list[str]]:
    return st.lists(text, min_size=width, max_size=width)


tables = st.integers(1, 4).flatmap(lambda width: st.builds(Table, text, cells(width), st.lists(cells(width))))
COMMANDS = {r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^"}


@given(tables)
def test_markdown_reads_back(table: Table) -> None:
    caption, blank, head, rule, *rows = table.markdown().splitlines()
    assert (caption, blank) == (table.caption, "")
    read = [[cell.replace(r"\|", "|") for cell in re.split(r" (?<!\\)\| ", row[2:-2])] for row in (head, *rows)]
    assert read == [list(row) for row in (table.head, *table.rows)]
    assert rule.count("-|") == 0 or rule.startswith("|---|")
    assert rule.count("|") == len(table.head) + 1


@given(tables)
def test_latex_reads_back(table: Table) -> None:
    lines = table.latex("tab:x").splitlines()
    body = lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")]
    read = [[_plain(cell) for cell in line.removesuffix(r" \\").split(" & ")] for line in body]
    assert read == [list(row) for row in table.rows]
    assert lines[4] == rf"\begin{{tabular}}{{l{'r' * (len(table.head) - 1)}}}"
    assert _plain(lines[2].removeprefix(r"\caption{").removesuffix("}")) == table.caption


def _plain(text: str) -> str:
    pattern = "|".join([*map(re.escape, COMMANDS), r"\\[&%$#_{}]"])
    return re.sub(pattern, lambda found: COMMANDS.get(found[0], found[0][1:]), text)


def test_both_files_are_written_beside_each_other(tmp_path: Path) -> None:
    table = Table("Two – or more ± one", ["proxy", "rho"], [["a_b", "–"]])
    paths = table.write(tmp_path / "deep" / "v1.2-board")
    assert [path.name for path in paths] == ["v1.2-board.md", "v1.2-board.tex"]
    assert r"Two -- or more $\pm$ one" in paths[1].read_text()
    assert r"a\_b & -- \\" in paths[1].read_text()
