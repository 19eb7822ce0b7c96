"""Tables in Markdown and LaTeX hold the same cells, whatever characters they are made of."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from analysis.typeset import (
    DASH,
    Column,
    Table,
    Typeset,
    as_it_stands,
    between,
    decimals,
    estimate,
    estimated,
    interval,
    number,
    spread,
    whole,
    with_interval,
    with_spread,
    words,
)

MEANT = ["|", "\\", "`", "*", "_", "<b>", "&lt;", "](x)", "[", "~~", "%", "$", "{", "\n", "=1", "#", "http://x.y", "–"]
"""What means something in one of the formats."""
text = st.lists(
    st.one_of(st.sampled_from(MEANT), st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=3)),
    min_size=1,
    max_size=5,
).map("".join)


def cells(width: int) -> st.SearchStrategy[list[str]]:
    return st.lists(text, min_size=width, max_size=width)


tables = st.integers(1, 4).flatmap(lambda width: st.builds(Typeset, text, cells(width), st.lists(cells(width))))
READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def _line(text: str) -> str:
    return re.sub(r"[\x00-\x1f]+", " ", text).strip()


@pytest.mark.slow
@given(tables)
def test_markdown_shows_what_was_said(table: Typeset) -> None:
    """By another program's reading of it: text, and nothing else, in as many cells."""
    tokens = READER.parse(table.markdown())
    inner = [token for token in tokens if token.type == "inline"][-len(table.head) * (len(table.rows) + 1) :]
    assert {part.type for token in inner for part in token.children} <= {"text"}
    found = ["".join(part.content for part in token.children) for token in inner]
    assert found == [_line(cell) for row in (table.head, *table.rows) for cell in row]
    assert sum(token.type == "tr_open" for token in tokens) == len(table.rows) + 1


@pytest.mark.slow
@given(text)
def test_a_caption_is_one_paragraph_without_tags_and_links(caption: str) -> None:
    tokens = READER.parse(Typeset(caption, ["a"], [["1"]]).markdown())
    assert [token.type for token in tokens][:4] in (
        ["paragraph_open", "inline", "paragraph_close", "table_open"],
        ["table_open", "thead_open", "tr_open", "th_open"],  # of nothing but breaks
    )
    inner = {part.type for token in tokens[:3] for part in token.children or []}
    assert not inner & {"html_inline", "link_open", "image", "softbreak", "hardbreak"}


WRITTEN = {
    r"\textbackslash{}": "\\",
    r"\textasciitilde{}": "~",
    r"\textasciicircum{}": "^",
    r"\textless{}": "<",
    r"\textgreater{}": ">",
    r"\textbar{}": "|",
    r"$\pm$": "±",
    "{[}": "[",
    "{*}": "*",
}


@pytest.mark.slow
@given(tables)
def test_latex_shows_what_was_said(table: Typeset) -> None:
    lines = table.latex("tab:x").splitlines()
    head = lines[lines.index(r"\toprule") + 1]
    body = lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")]
    read = [[_plain(cell).strip() for cell in line.removesuffix(r" \\").split(" & ")] for line in (head, *body)]
    assert read == [[_line(cell).replace("–", "--") for cell in row] for row in (table.head, *table.rows)]
    assert not any(line.startswith(("[", "*")) for line in (head, *body)), "it would belong to the row before"
    assert lines[4] == rf"\begin{{tabular}}{{l{'r' * (len(table.head) - 1)}}}"
    caption = _plain(lines[2].removeprefix(r"\caption{").removesuffix("}"))
    assert caption.strip() == _line(table.caption).replace("–", "--")


def _plain(text: str) -> str:
    pattern = "|".join([*map(re.escape, WRITTEN), r"\\[&%$#_{}]"])
    assert not re.search(r"[\\&%$#_{}~^<>|]", re.sub(pattern, "", text)), "it means something"
    return re.sub(pattern, lambda found: WRITTEN.get(found[0], found[0][1:]), text)


@pytest.mark.slow
@given(st.lists(text.filter(lambda head: head != "n"), min_size=1, max_size=3, unique=True), text)
def test_a_spreadsheet_takes_no_text_for_a_formula(
    tmp_path_factory: pytest.TempPathFactory, heads: list[str], said: str
) -> None:
    frame = pd.DataFrame({head: [f"{sign}{said}" for sign in ("", "=", "+", "-", "@", "\t")] for head in heads})
    frame["n"] = [-1.5, 2, 3, 4, 5, math.inf]
    path = tmp_path_factory.mktemp("formula") / "a"
    Table(frame, "", []).write(path)
    written = pd.read_csv(f"{path}.csv", dtype=str, keep_default_na=False, header=None).to_numpy().tolist()
    for cell in (cell for row in written for cell in row[:-1]):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")) or re.fullmatch(r"[+-][\d.]+", cell)
    assert [row[-1] for row in written] == ["n", "-1.5", "2.0", "3.0", "4.0", "5.0", "inf"]


@pytest.mark.parametrize("number", ["-1", "+0.5", "-1e-300", "-.5", "-inf", "+nan", "12", "0.12 [–, –]"])
def test_numbers_stay_numbers(tmp_path: Path, number: str) -> None:
    Table(pd.DataFrame({"a": [number]}), "", []).write(tmp_path / "a")
    assert (tmp_path / "a.csv").read_text() == f"a\n{number}\n".replace("0.12 [–, –]", '"0.12 [–, –]"')


def test_both_files_are_written_beside_each_other(tmp_path: Path) -> None:
    table = Typeset("Two – or more ± one", ["proxy", "rho"], [["a_b", "–"]])
    paths = table.write(tmp_path / "deep" / "v1.2-board")
    assert [path.name for path in paths] == ["v1.2-board.md", "v1.2-board.tex"]
    assert r"Two -- or more $\pm$ one" in paths[1].read_text()
    assert r"a\_b & -- \\" in paths[1].read_text()


NAN = math.nan
FRAME = pd.DataFrame(
    {
        "proxy": ["a", "b", None],
        "n": [15625, 7, NAN],
        "rho": [0.123456, -0.5, NAN],
        "rho_low": [0.1, NAN, NAN],
        "rho_high": [0.2, NAN, NAN],
        "p": [0.049, 0.05, NAN],
    }
)


@pytest.mark.parametrize("value", [None, NAN, math.inf, -math.inf])
def test_a_number_that_is_not_known_is_a_dash_everywhere(value: float | None) -> None:
    assert number(value) == DASH
    if value is not None:
        assert {between(value, 1), estimate(value, 0, 1), with_interval(value, 0, 1), spread(value, NAN)} == {DASH}


def test_numbers_intervals_and_signs() -> None:
    assert number(0.5) == "0.50"
    assert (number(0.5, 1, signed=True), number(-0.5, 0)) == ("+0.5", "-0")
    assert between(-0.5, 1, 1, signed=True) == "-0.5 to +1.0"
    assert estimate(0.5, 0.25, 0.75) == "0.50 [0.25, 0.75]"
    assert (with_interval(0.5, NAN, NAN), with_interval(0.5, 0, 1)) == ("0.50", "0.50 [0.00, 1.00]")
    assert (spread(1, 0.5), spread(1, NAN)) == ("1.00 ± 0.50", "1.00")


@pytest.mark.parametrize(
    ("column", "said", "numbers"),
    [
        (words("proxy"), ["a", "b", ""], [None, None, None]),
        (whole("n"), ["15625", "7", DASH], [15625, 7, None]),
        (whole("cells", "n", thousands=True), ["15,625", "7", DASH], [15625, 7, None]),
        (decimals("Spearman", "rho"), ["0.12", "-0.50", DASH], [0.123456, -0.5, None]),
        (decimals("Spearman", "rho", 3, p="p"), ["0.123*", "-0.500", DASH], [0.123456, -0.5, None]),
        (interval("95 %", "rho_low", "rho_high"), ["0.10 to 0.20", DASH, DASH], [0.1, None, None]),
        (estimated("rho", "rho", p="p"), ["0.12 [0.10, 0.20]*", "-0.50 [–, –]", DASH], [0.123456, -0.5, None]),
        (with_spread("rho", "rho", "rho_low"), ["0.12 ± 0.10", "-0.50", DASH], [0.123456, -0.5, None]),
    ],
)
def test_a_column_says_a_row_and_knows_what_it_is_sorted_by(
    column: Column, said: list[str], numbers: list[float | None]
) -> None:
    cells = [column.of(row) for row in FRAME.to_dict("records")]
    assert [cell.text for cell in cells] == said
    assert [cell.number for cell in cells] == numbers


def test_a_table_is_written_with_all_numbers_and_read_by_people_with_few(tmp_path: Path) -> None:
    table = Table(FRAME, "A caption.", [words("proxy"), words("again", "proxy"), decimals("Spearman", "rho")])
    csv, page, paper = table.write(tmp_path / "deep" / "v1.2")
    assert [path.name for path in (csv, page, paper)] == ["v1.2.csv", "v1.2.md", "v1.2.tex"]
    pd.testing.assert_frame_equal(pd.read_csv(csv), FRAME.round(4))
    assert page.read_text().splitlines()[:5] == [
        "A caption.",
        "",
        "| proxy | again | Spearman |",
        "|---|---|---:|",
        "| a | a | 0.12 |",
    ]
    assert r"\begin{tabular}{llr}" in paper.read_text()


def test_rows_that_are_shown_may_be_others_than_the_frame_has() -> None:
    table = Table(FRAME, "", [words("x")], pd.DataFrame({"x": ["only this"]}))
    assert [[cell.text for cell in row] for row in table.rows] == [["only this"]]


def test_text_without_a_definition_stands_as_it_is_and_sorts_by_its_numbers() -> None:
    table = as_it_stands(pd.DataFrame({"a": ["10", "", "9.50"], "b": ["1", "x", "2"], "c": ["", "", ""]}))
    assert [column.key for column in table.columns] == ["a", None, None]
    assert [[cell.text for cell in row] for row in table.rows] == [["10", "1", ""], ["", "x", ""], ["9.50", "2", ""]]
    assert [row[0].number for row in table.rows] == [10, None, 9.5]
