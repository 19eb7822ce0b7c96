"""A leaderboard's BibTeX file has its proxies' papers, each once, and no other; the committed ones are current."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from analysis.tables.leaderboard import bibliography, write
from analysis.typeset import Table, words
from tests.conftest import ROOT

BOARDS = sorted((ROOT / "results/tables").glob("leaderboard-*.csv"))


def keys(text: str) -> list[str]:
    return re.findall(r"^@\w+\{([^,]+),$", text, re.MULTILINE)


def test_the_papers_of_the_proxies_named_and_no_others(tmp_path: Path) -> None:
    frame = pd.DataFrame({"proxy": ["nwot", "az_nas", "nwot:init=kaiming", "params", "az_trainability", "gone"]})
    assert sorted(keys(bibliography(frame))) == ["dong2020nasbench201", "lee2024aznas", "mellor2021neural"]
    written = write(Table(frame, "", (words("proxy"),)), tmp_path / "board")
    assert [path.suffix for path in written] == [".csv", ".md", ".tex", ".bib"]
    text = (tmp_path / "board.bib").read_text()
    assert text.count("{") == text.count("}")
    whole = (ROOT / "docs/references.bib").read_text()
    assert all(entry.strip() in whole for entry in text.split("\n\n"))


@pytest.mark.parametrize("board", BOARDS, ids=[path.stem for path in BOARDS])
def test_the_committed_ones_are_those_of_their_tables(board: Path) -> None:
    assert board.with_suffix(".bib").read_text() == bibliography(pd.read_csv(board))
