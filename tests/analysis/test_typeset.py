"""Tables in Markdown and LaTeX hold the same cells, whatever characters they are made of."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

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

text = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8)


def cells(width: int) -> st.SearchStrategy[list[str]]:
    return st.lists(text, min_size=width, max_size=width)


tables = st.integers(1, 4).flatmap(lambda width: st.builds(Typeset, text, cells(width), st.lists(cells(width))))
COMMANDS = {r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^"}


@given(tables)
def test_markdown_reads_back(table: Typeset) -> None:
    caption, blank, head, rule, *rows = table.markdown().splitlines()
    assert (caption, blank) == (table.caption, "")
    read = [[cell.replace(r"\|", "|") for cell in re.split(r" (?<!\\)\| ", row[2:-2])] for row in (head, *rows)]
    assert read == [list(row) for row in (table.head, *table.rows)]
    assert rule.count("-|") == 0 or rule.startswith("|---|")
    assert rule.count("|") == len(table.head) + 1


@given(tables)
def test_latex_reads_back(table: Typeset) -> None:
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
