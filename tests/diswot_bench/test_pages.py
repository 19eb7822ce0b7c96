"""The page and the notebook of the library run as they stand, from a folder that is not the tree."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_the_notebook_runs_from_top_to_bottom(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    notebook = json.loads((ROOT / "docs/tour.ipynb").read_text(encoding="utf-8"))
    names: dict[str, Any] = {}
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] for cell in notebook["cells"] if cell["cell_type"] == "code")
    for cell in cells:
        exec(compile(cell, "tour.ipynb", "exec"), names)
    assert set(names["found"].index) == {"diswot", "nwot", "jacov", "params", "flops"}
    table = names["table"]
    assert table.loc[("wide", "params"), "score"] == 3 * 9 * 16 + 16 + 2 * 16 + 16 * 10 + 10
    assert table.loc[("narrow", "diswot"), "status"] == "not_applicable", "its width is not the teacher's"
    assert table.loc[("wide", "diswot"), "status"] == "ok"


def test_the_blocks_of_the_page_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/python-api.md").read_text(encoding="utf-8")
    found = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    assert len(found) == 3
    names: dict[str, Any] = {"mine": pd.Series({3: 1.0, 4: 2.0, 5: 3.0})}
    for block in found:
        exec(compile(block, "python-api.md", "exec"), names)
    assert names["summary"].wanted == 40
    assert names["table"].loc[("a", "kd"), "status"] == "ok"
