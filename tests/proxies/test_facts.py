"""A class that says something of itself in a way no run can use is refused in one line, before anything is scored."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Command

from proxies import registry
from proxies.facts import wrong_fact

SOUND = """
from dataclasses import dataclass, field
from proxies.base import Population, Proxy, Reference

@dataclass(frozen=True)
class Mine(Proxy):
    name = "mine"
    version = 2
    family = "test"
    needs = ("forward",)
    sees = "function"
    reference = Reference("A title", 2024, "", "")
    power: float = 1.0

    def score(self, student, teacher):
        return self.power
"""
WRONG = [
    ('needs = ("forward",)', 'needs = ("forward")', "needs = 'forward' is a word, not a tuple"),
    ('needs = ("forward",)', 'needs = ["forward"]', "needs = ['forward'] is a list"),
    (
        'needs = ("forward",)',
        'needs = ("forwards",)',
        "needs names 'forwards': did you mean 'forward'? there are forward",
    ),
    ('needs = ("forward",)', "needs = (1,)", "needs names 1: there are forward, relu_codes"),
    ('name = "mine"', "name = 3", "name = 3 is no text"),
    ('name = "mine"', 'name = ""', "name '': lower-case letters"),
    ('name = "mine"', 'name = "a/b"', "name 'a/b': lower-case letters"),
    ('name = "mine"', 'name = "a,b"', "name 'a,b': lower-case letters"),
    ('name = "mine"', 'name = "a:b"', "name 'a:b': lower-case letters"),
    ('name = "mine"', 'name = "all"', "name 'all' means every proxy"),
    ('sees = "function"', 'sees = "network"', "sees = 'network' is none of function, relus"),
    ('sees = "function"', 'sees = ["function"]', "sees = ['function'] is none of"),
    ("version = 2", 'version = "2"', "version = '2' is no whole number"),
    ("version = 2", "version = True", "version = True is no whole number"),
    ("version = 2", "version = 0", "version = 0: versions count from 1"),
    ("version = 2", "version: int = 2", "'version' is a field"),
    ("version = 2", 'least = "two"', "least = 'two' is no whole number from 1"),
    ("version = 2", "least_of_class = 0", "least_of_class = 0 is no whole number from 1"),
    ('family = "test"', "family = None", "family = None is no text"),
    ('reference = Reference("A title", 2024, "", "")', "reference = None", "reference = None is no Reference"),
    ("power: float = 1.0", "power: list = field(default_factory=list)", "field power needs a plain default"),
    ("power: float = 1.0", "power: tuple = (1, 2)", "field power needs a plain default"),
    ("power: float = 1.0", "init: str = 'xavier'", "init = 'xavier' is none of default, kaiming, gaussian"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("old", "new", "message"), WRONG)
def test_a_fact_that_cannot_be_is_refused_with_file_and_class(
    old: str, new: str, message: str, tmp_path: Path, command: Command
) -> None:
    assert SOUND.count(old) == 1
    (tmp_path / "mine.py").write_text(SOUND.replace(old, new))
    ended = command("bench", "run", "nwot", "--limit", 1, "--workers", 1, "--module", "mine.py", "--store", "s.sqlite")
    assert ended.code == 2
    assert "mine.py: Mine: " in ended.error
    assert message in ended.error
    assert not (tmp_path / "s.sqlite").exists()


def test_a_list_as_a_default_is_refused_by_the_file_itself(tmp_path: Path, command: Command) -> None:
    (tmp_path / "mine.py").write_text(SOUND.replace("power: float = 1.0", "power: list = []"))
    ended = command("bench", "list", "--module", "mine.py")
    assert ended.code == 1
    assert "mutable default" in ended.error


def test_every_registered_class_says_what_can_be_used() -> None:
    found = {name: wrong_fact(cls) for name, cls in (registry.known() | registry.populations()).items()}
    assert len(found) > 30
    assert not {name: wrong for name, wrong in found.items() if wrong}


def test_the_file_without_a_mistake_is_taken(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SOUND)
    assert "mine" in registry.known((tmp_path / "mine.py",))
