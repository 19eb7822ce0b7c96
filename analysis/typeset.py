"""Tables as people read them: CSV with everything, Markdown for pages, LaTeX (booktabs) for papers.

A `Table` holds numbers, and columns that say how they are shown; a `Typeset` is text alone. A number that is not known
is a dash, everywhere. Names come from others: each format shows them as they are, whatever they mean in it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from common.files import together
from common.formats import write_csv, write_text

if TYPE_CHECKING:
    import pandas as pd

DASH = "–"
"""What stands in place of a number that is not known."""
ROUNDED = 4
"""Decimals of a table's CSV file."""
SURE = 0.05
"""A p-value below this earns a star."""

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
    "±": r"$\pm$",
}
_BREAKS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
"""What would end a line, or shows nothing."""
_MARKUP = re.compile(
    r"""[\\`|]                  # escapes, code, cells
    | <(?=[A-Za-z/!?])          # tags and links
    | &(?=\#|[A-Za-z]\w*;)      # characters by name or number
    | (?<![^\W_])_|_(?![^\W_])  # emphasis; inside a word it is none
    | ~(?=~)|(?<=~)~            # struck out
    | \](?=[\[(:])|\[(?=[\]^])  # links, and what they lead to
    """,
    re.VERBOSE,
)
"""Where Markdown would begin something in a cell; one star alone begins nothing."""


def number(value: float | None, digits: int = 2, *, signed: bool = False) -> str:
    """A number with so many decimals, its sign in front of it on request; a dash where it is not finite, or None."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{value:{'+' if signed else ''}.{digits}f}"


def between(low: float, high: float, digits: int = 2, *, signed: bool = False) -> str:
    """An interval, `low to high`; a dash where its low end is not known."""
    if not math.isfinite(low):
        return DASH
    return f"{number(low, digits, signed=signed)} to {number(high, digits, signed=signed)}"


def estimate(value: float, low: float, high: float, digits: int = 2) -> str:
    """A number with its interval in brackets, `value [low, high]`; a dash where the number is not known."""
    return f"{number(value, digits)} [{number(low, digits)}, {number(high, digits)}]" if math.isfinite(value) else DASH


def with_interval(value: float, low: float, high: float, digits: int = 2) -> str:
    """As `estimate`, the number alone where no interval is known: a single seed or search gives none."""
    return estimate(value, low, high, digits) if math.isfinite(low) else number(value, digits)


def spread(value: float, sd: float) -> str:
    """A number with its standard deviation, `value ± sd`, or alone where that is not known."""
    return number(value) + (f" ± {number(sd)}" if math.isfinite(sd) else "")


Row = Mapping[str, Any]
"""A row of a frame: values by the frame's columns."""


class Value(NamedTuple):
    """What a cell of a table says, and the number that it is sorted by; None is not known, and comes last."""

    text: str
    number: float | None = None


@dataclass(frozen=True)
class Column:
    """A column as a page shows it: its heading, what it says of a row, and what of the frame it is sorted by."""

    head: str
    said: Callable[[Row], str]
    key: str | None = None
    """The frame's column of numbers; None for words."""

    def of(self, row: Row) -> Value:
        """The cell of a row."""
        known = float(row[self.key]) if self.key is not None and row[self.key] != "" else math.nan
        return Value(self.said(row), known if math.isfinite(known) else None)


def words(head: str, key: str | None = None) -> Column:
    """Text as it stands in the frame, nothing where it is missing; `key` is `head` unless told."""

    def said(row: Row) -> str:
        value = row[key or head]
        return "" if isinstance(value, float) and math.isnan(value) else str(value)

    return Column(head, said)


def whole(head: str, key: str | None = None, thousands: bool = False) -> Column:
    """A whole number, its thousands apart on request."""
    name = key or head
    return Column(head, lambda row: DASH if math.isnan(row[name]) else f"{row[name]:{',' * thousands}.0f}", name)


def decimals(head: str, key: str, digits: int = 2, p: str | None = None) -> Column:
    """A number, starred where the frame's column `p` holds a p-value below `SURE`."""
    return Column(head, lambda row: number(row[key], digits) + _star(row, p), key)


def interval(head: str, low: str, high: str) -> Column:
    """The ends of an interval, of two columns of the frame."""
    return Column(head, lambda row: between(row[low], row[high]), low)


def estimated(head: str, key: str, p: str | None = None, *, low: str = "", high: str = "") -> Column:
    """A number with its interval, of three columns: KEY, KEY_low and KEY_high unless told; starred as `decimals` is."""
    ends = low or f"{key}_low", high or f"{key}_high"
    return Column(head, lambda row: estimate(row[key], *(row[end] for end in ends)) + _star(row, p), key)


def with_spread(head: str, key: str, sd: str) -> Column:
    """A number with its standard deviation, of two columns of the frame."""
    return Column(head, lambda row: spread(row[key], row[sd]), key)


def _star(row: Row, p: str | None) -> str:
    return "*" if p is not None and row[p] < SURE else ""


@dataclass(frozen=True)
class Table:
    """All numbers of a table, its caption, and the columns that a page shows of it."""

    frame: pd.DataFrame
    caption: str
    columns: Sequence[Column]
    lines: pd.DataFrame | None = None
    """The rows that a page shows, where they are not those of the frame."""

    @property
    def rows(self) -> list[list[Value]]:
        """The cells of every row that a page shows."""
        shown = self.frame if self.lines is None else self.lines
        return [[column.of(row) for column in self.columns] for row in shown.to_dict("records")]

    def typeset(self) -> Typeset:
        """The table as text."""
        text = [[value.text for value in row] for row in self.rows]
        count = next((place for place, column in enumerate(self.columns) if column.key), len(self.columns))
        return Typeset(self.caption, [column.head for column in self.columns], text, count)

    def write(self, path: Path) -> list[Path]:
        """Write `path` with the endings .csv (the frame, `ROUNDED` decimals), .md and .tex (what a page shows)."""
        target = path.with_name(f"{path.name}.csv")
        with together():
            write_csv(target, _for_spreadsheets(self.frame.round(ROUNDED)))
            return [target, *self.typeset().write(path)]


def as_it_stands(frame: pd.DataFrame) -> Table:
    """A table of a frame of text, without a caption; a column that holds numbers alone is sorted by them."""
    return Table(frame, "", [Column(str(name), itemgetter(name), _key(frame[name])) for name in frame])


def _key(column: pd.Series) -> str | None:
    """The name of a column of text, if it holds numbers and nothing else."""
    try:
        numbers = [float(text) for text in column if text]
    except ValueError:
        return None
    return str(column.name) if numbers else None


class Markdown(str):
    """Text that is Markdown already, as a page's own links are; all other text is shown as it is."""


@dataclass(frozen=True)
class Typeset:
    """A caption, a heading and rows of equally many cells; the first `words` columns are text, the others numbers."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1

    def markdown(self) -> str:
        """The caption as a paragraph, then a pipe table."""
        rule = "|" + "---|" * self.words + "---:|" * (len(self.head) - self.words)
        lines = [_paragraph(self.caption), "", _row(self.head), rule, *map(_row, self.rows)]
        return "\n".join(lines) + "\n"

    def latex(self, label: str) -> str:
        """A table environment; the document needs the package booktabs."""
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_escaped(self.caption)}}}",
            rf"\label{{{label}}}",
            rf"\begin{{tabular}}{{{'l' * self.words}{'r' * (len(self.head) - self.words)}}}",
            r"\toprule",
            _ampersands(self.head),
            r"\midrule",
            *map(_ampersands, self.rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"

    def write(self, path: Path) -> list[Path]:
        """`path` with the endings .md and .tex."""
        texts = {".md": self.markdown(), ".tex": self.latex(f"tab:{path.stem}")}
        paths = [path.with_name(path.name + ending) for ending in texts]
        for target, text in zip(paths, texts.values(), strict=True):
            write_text(target, text)
        return paths


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_in_markdown, cells)) + " |"


def _in_markdown(text: str) -> str:
    if isinstance(text, Markdown):
        return text
    text = _MARKUP.sub(r"\\\g<0>", _BREAKS.sub(" ", text))
    return text.replace("*", r"\*") if text.count("*") > 1 else text


def _paragraph(text: str) -> str:
    """A caption, whose own words may be code; it is one paragraph, and no tag or link begins in it."""
    if isinstance(text, Markdown):
        return text
    # twice the backslashes in front too, or they would take the one that is put there
    text = re.sub(r"(\\*)(<(?=[A-Za-z/!?])|\](?=[\[(:]))", r"\1\1\\\2", _BREAKS.sub(" ", text)).strip()
    return re.sub(r"^(\d*)(?=[#>+=~|*_.)-]|`{3})", r"\1\\", text)


def _ampersands(cells: Sequence[str]) -> str:
    line = " & ".join(map(_escaped, cells))
    # behind the end of a row, what stands in brackets and a star belong to that
    return re.sub(r"^[\[*]", r"{\g<0>}", line) + r" \\"


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in _BREAKS.sub(" ", text))


def _for_spreadsheets(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with an apostrophe before text, heads too, that a spreadsheet would take for a formula."""
    shown = frame.copy()
    for column in frame.columns:
        if frame[column].dtype.kind not in "biuf":
            shown[column] = frame[column].map(_no_formula)
    return shown.rename(columns=_no_formula)


def _no_formula(value: Any) -> Any:
    """Numbers stay as they are, whatever sign they have."""
    if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") and value and not _is_number(value):
        return f"'{value}"
    return value


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)", text, re.ASCII) is not None
