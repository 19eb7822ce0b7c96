"""A table's BibTeX file has the papers of the proxies it names, each once, and no other; the committed are current."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from analysis.bibliography import bibliography, write
from analysis.typeset import Table, words
from tests.conftest import ROOT

TABLES = sorted((ROOT / "results/tables").glob("*.csv"))


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


def test_proxies_are_found_in_every_column_of_text_and_none_in_numbers(tmp_path: Path) -> None:
    pairs = pd.DataFrame({"a": ["nwot"], "b": ["kd@median"], "p": [0.5]})
    assert sorted(keys(bibliography(pairs))) == ["hinton2015distilling", "mellor2021neural"]
    assert bibliography(pd.DataFrame({"one": ["digits, vanilla"], "n": [150]})) == ""
    written = write(Table(pd.DataFrame({"set": ["unique"]}), "", (words("set"),)), tmp_path / "sets")
    assert [path.suffix for path in written] == [".csv", ".md", ".tex"]


@pytest.mark.parametrize("table", TABLES, ids=[path.stem for path in TABLES])
def test_the_committed_ones_are_those_of_their_tables(table: Path) -> None:
    papers, path = bibliography(pd.read_csv(table)), table.with_suffix(".bib")
    assert path.read_text() == papers if papers else not path.exists()
