"""The picture of the rooms is that of the code, and shows no arrow that another way implies."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.pages.architecture import PAGE, imports, listing, mermaid, page, rooms, top_to_bottom

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_picture_is_that_of_the_code() -> None:
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    assert text == page(text, ROOT), "stale: run `python -m analysis architecture`"


def test_every_room_says_what_it_is() -> None:
    assert not [room for room, words in rooms(ROOT).items() if len(words) < 20]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    files = {
        "attic/__init__.py": '"""Looks down: far."""\n',
        "attic/window.py": "def f():\n    import cellar.wine\n    from ground import floor\n",
        "ground/__init__.py": '"""Stands on\nthe cellar.\n\nMore of it."""\n',
        "ground/floor.py": "from cellar.wine import bottle\nfrom . import door\nimport json\n",
        "cellar/__init__.py": '"""Holds all."""\n',
        "tests/__init__.py": "import attic\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_rooms_are_packages_and_arrows_their_imports(house: Path) -> None:
    assert rooms(house) == {"attic": "Looks down: far.", "cellar": "Holds all.", "ground": "Stands on the cellar."}
    assert imports(house) == {"attic": {"cellar", "ground"}, "cellar": set(), "ground": {"cellar"}}


def test_an_arrow_that_a_longer_way_implies_is_left_out(house: Path) -> None:
    assert mermaid(imports(house)).split("\n") == ["flowchart TD", "    attic --> ground", "    ground --> cellar", ""]


def test_rooms_are_listed_from_top_to_bottom(house: Path) -> None:
    assert listing(house) == ("attic/   Looks down\nground/  Stands on the cellar\ncellar/  Holds all\n")


def test_a_circle_has_no_top() -> None:
    with pytest.raises(ValueError, match="circle: a, b"):
        top_to_bottom({"a": {"b"}, "b": {"a"}, "c": {"a"}})
