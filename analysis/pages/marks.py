"""A page with parts that a command writes: each stands between two marks, and nothing else of the page changes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from common.errors import BadInput


class Marks(NamedTuple):
    """The two comments around a part of a page."""

    begin: str
    end: str


def replaced(text: str, marks: Marks, made: str, page: Path) -> str:
    """`text` of a page with `made` between its marks. Raises BadInput without the marks."""
    begin, end = marks
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise BadInput(f"{page} lacks the marks '{begin}' and '{end}' around what is made: restore them")
    before, after = text.partition(begin)[0], text.partition(end)[2]
    return f"{before}{begin}\n{made}{end}{after}"
