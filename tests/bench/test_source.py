"""The hash of a formula moves with all that it computes, and with nothing else."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

from bench.checks.source import source_hash
from common import modules

FILE = '''"""A file."""
import math
import helper_of_test_source
from helper_of_test_source import scaled

SCALE = 2.0
TABLE = {"a": 1}
TABLE["b"] = 2
OTHER = 5


class Base:
    """What it is made from."""
    def offset(self):
        return 0.5


class Mine(Base):
    """One."""
    name = "mine"

    def score(self, student):
        """Say it."""
        return scaled(_square(student) * SCALE + TABLE["b"] + self.offset())  # a number


def _square(value):
    return _times(value, value)


def _times(a, b):
    return a * b


class Unrelated:
    pass


if __name__ == "__main__":
    print(Mine())
'''
HELPER = "FACTOR = 3\nUNUSED = 1\n\n\ndef scaled(value):\n    return FACTOR * value\n"


@pytest.fixture
def hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    numbers = itertools.count()

    def hash_of(text: str, helper: str = HELPER) -> str | None:
        (tmp_path / "mine.py").write_text(f"{text}# loaded again because of {next(numbers)}\n")
        (tmp_path / "helper_of_test_source.py").write_text(helper)
        monkeypatch.delitem(sys.modules, "helper_of_test_source", raising=False)
        modules.use([tmp_path / "mine.py"])
        return source_hash([modules.load(tmp_path / "mine.py").Mine], idle=("name", "least"))

    yield hash_of
    modules.use(())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # a number", ""),
        ('"""One."""', '"""Another."""'),
        ('        """Say it."""\n', ""),
        ("def _times(a, b):\n    return a * b", "def _times(\n    a: int, b\n) -> int:\n\n    return (a*b)"),
        ('name = "mine"', 'name = "yours"'),
        ('name = "mine"', 'name = "mine"\n    least = 2'),
        ('"""What it is made from."""', "least = 2"),
        ("OTHER = 5", "OTHER = 6"),
        ("class Unrelated:", "class Unheard:"),
        ("print(Mine())", "print(Mine().name)"),
        ('"""A file."""', ""),
        ("import math\n", "import math\nimport json\n"),
    ],
)
def test_what_computes_nothing_does_not_count(old: str, new: str, hashed: object) -> None:
    assert FILE.count(old) == 1
    assert callable(hashed)
    assert hashed(FILE) == hashed(FILE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("* SCALE +", "* SCALE -"),
        ("SCALE = 2.0", "SCALE = 2"),
        ("return a * b", "return a + b"),
        ("return _times(value, value)", "return _times(value, 1)"),
        ('TABLE["b"] = 2', 'TABLE["b"] = 3'),
        ("return 0.5", "return 0.25"),
        ('"""What it is made from."""', 'name = "base"'),
        ("class Mine(Base)", "class Mine(Base, Unrelated)"),
        ("import scaled\n", "import UNUSED as scaled\n"),
    ],
)
def test_what_computes_counts_wherever_it_stands(old: str, new: str, hashed: object) -> None:
    assert FILE.count(old) == 1
    assert callable(hashed)
    text = FILE.replace("class Unrelated:\n    pass\n", "").replace(
        "class Base", "class Unrelated:\n    pass\n\n\nclass Base"
    )
    assert hashed(text) != hashed(text.replace(old, new))


def test_a_module_of_the_users_own_counts_as_far_as_it_is_used(hashed: object) -> None:
    assert callable(hashed)
    before = hashed(FILE)
    assert before == hashed(FILE, HELPER.replace("UNUSED = 1", "UNUSED = 2"))
    assert before != hashed(FILE, HELPER.replace("FACTOR = 3", "FACTOR = 4"))


def test_what_has_no_source_has_no_hash() -> None:
    assert source_hash([type("Made", (), {"__module__": "nowhere"})]) is None
    assert source_hash([print]) is None
