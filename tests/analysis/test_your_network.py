"""The table of docs/guides/your-network.md says what the proxies make of networks of each kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.pages import your_network
from common.errors import BadInput
from probe.module.examples import KINDS, OTHERS
from proxies import registry

PAGE = Path(__file__).parents[2] / your_network.PAGE
FOUND = {
    "straight": {"params": "yes", "nwot": "yes", "swap": "yes", "kd": "yes"},
    "bent": {"params": "yes", "nwot": "it bends", "swap": "it bends", "kd": "no classes"},
}


@pytest.mark.slow
def test_the_committed_table_is_what_the_proxies_say() -> None:
    found = your_network.outcomes()
    assert set(found) == set(KINDS | OTHERS)
    assert all(set(of_kind) == set(registry.known()) for of_kind in found.values())
    text = PAGE.read_text(encoding="utf-8")
    assert text == your_network.whole_page(text, found), "run `python -m analysis network-docs`"


def test_proxies_with_the_same_outcomes_share_a_row() -> None:
    assert your_network.table(FOUND).splitlines() == [
        "| proxies | straight | bent |",
        "|---|---|---|",
        "| params | yes | yes |",
        "| kd | yes | a |",
        "| nwot, swap | yes | b |",
        "",
        "- a: no classes",
        "- b: it bends",
    ]


def test_nothing_but_the_table_changes() -> None:
    begin, end = your_network.MARKS
    page = your_network.whole_page(f"Before.\n{begin}\nold\n{end}\nBehind.\n", FOUND)
    assert page == f"Before.\n{begin}\n{your_network.table(FOUND)}{end}\nBehind.\n"
    with pytest.raises(BadInput, match="lacks the marks"):
        your_network.whole_page("Before.\n", FOUND)
