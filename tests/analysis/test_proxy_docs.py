"""docs/proxies.md is what the registry and the committed tables make of it, and says everything it should."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis.pages import proxy_docs
from proxies import registry

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_committed_page_is_not_stale() -> None:
    made = proxy_docs.page(ROOT / "results/tables", ROOT / "results/costs")
    assert (ROOT / proxy_docs.PAGE).read_text(encoding="utf-8") == made, "run `python -m analysis proxy-docs`"


@pytest.mark.parametrize("name", [*registry.known(), *registry.populations()])
def test_every_proxy_has_a_section_with_formula_source_and_bibtex(name: str) -> None:
    cls = (registry.known() | registry.populations())[name]
    text = proxy_docs.page(Path("nowhere"), Path("nowhere"))
    section = text.split(f"\n### {name}\n")[1].split("\n### ")[0]
    assert cls.__doc__ is not None
    assert cls.__doc__.strip().splitlines()[0] in section
    assert cls.reference.title in section
    assert text.count(f"[{name}](#{name})") == 1
    if cls.reference.arxiv:
        assert f"arxiv.org/abs/{cls.reference.arxiv}" in section
        assert cls.reference.entry in text


@pytest.mark.slow
def test_a_changed_table_changes_the_page(tmp_path: Path) -> None:
    row = {
        "proxy": "nwot", "kendall": 0.5, "spearman": 0.666, "spearman_low": 0.6, "spearman_high": 0.7,
        "n": 33, "scored": 100, "failed": 4,
    }  # fmt: skip
    tables, costs = tmp_path / "tables", tmp_path / "costs"
    for folder in (tables, costs):
        folder.mkdir()
    pd.DataFrame([row]).to_csv(tables / "leaderboard-digits-distilled.csv", index=False)
    pd.DataFrame([{"proxy": "nwot", "seconds": 0.0123, "forwards": 1.25}]).to_csv(costs / "digits.csv", index=False)
    text = proxy_docs.page(tables, costs)
    section = text.split("\n### nwot\n")[1].split("\n### ")[0]
    assert (
        "Measured on digits, distilled: Spearman 0.67 (0.60 to 0.70), Kendall 0.50, 33 cells, 4 of 104 cells" in section
    )
    assert "Cost on digits: 1.2 forward passes, 12.3 ms a cell" in section
    assert "| [nwot](#nwot) | activation | default | 1.2 | 0.67 |" in text
