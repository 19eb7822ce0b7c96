"""A proxy that fails in an unusual way has an error row like any other, and a file that ends the process one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Command

import common.cli
from bench.checks.judge import judge
from bench.plan import visiting_order
from spaces.nb201.space import NB201

FILE = '''
import sys
from dataclasses import dataclass
from proxies.base import NotApplicable, Proxy, Reference

class Shy(ValueError):
    def __str__(self):
        raise RuntimeError("no words")

class Rude(BaseException):
    """Is none of the exceptions that a program is to catch."""

class Leaves(ValueError):
    def __str__(self):
        sys.exit(0)

@dataclass(frozen=True)
class Mine(Proxy):
    name = "mine"
    family = "test"
    needs = ()
    sees = "cell"
    reference = Reference("A title", 2024, "", "")

    def score(self, student, teacher):
        {does}
'''
WORDS = ("run", "mine,params", "--module", "mine.py", "--limit", 3, "--store", "s.sqlite")
UNUSUAL = {
    "sys.exit(0)": ("error", "SystemExit: 0"),
    "sys.exit()": ("error", "SystemExit"),
    "raise Shy": ("error", "Shy"),
    "raise Leaves": ("error", "Leaves"),
    "raise Rude('so there')": ("error", "Rude: so there"),
    "raise KeyboardInterrupt('of its own')": ("error", "KeyboardInterrupt: of its own"),
    "raise GeneratorExit": ("error", "GeneratorExit"),
    r"raise ValueError('\udc80\ud800')": ("error", r"ValueError: \udc80\ud800"),
    r"raise ValueError('a\x00b')": ("error", "ValueError: a\x00b"),
    r"raise NotApplicable('\udc80')": ("not_applicable", r"\udc80"),
    "raise NotApplicable('x' * 10_000_000)": ("not_applicable", "x" * 300),
    "raise ValueError('x ' * 10_000_000)": ("error", "ValueError: " + "x " * 130),
}


def rows(command: Command) -> list[tuple[str, str]]:
    shown = command("bench", "show", visiting_order(NB201)[0], "--module", "mine.py", "--store", "s.sqlite", "--json")
    found = {row["proxy"]: (row["status"], row["reason"]) for row in json.loads(shown.out)[0]["scores"]}
    assert found.pop("params") == ("ok", "")
    return list(found.values())


@pytest.mark.slow
@pytest.mark.parametrize("does", UNUSUAL)
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.usefixtures("forked_pool")
def test_whatever_is_raised_is_a_row(does: str, workers: int, tmp_path: Path, command: Command) -> None:
    (tmp_path / "mine.py").write_text(FILE.replace("{does}", does))
    ended = command("bench", *WORDS, "--workers", workers)
    assert ended.code == 3, ended.err
    assert "3 of 6 scores" in ended.out
    ((status, reason),) = rows(command)
    assert status == UNUSUAL[does][0]
    assert reason.startswith(UNUSUAL[does][1])
    assert len(reason) <= 300


def test_ctrl_c_within_a_score_is_no_row() -> None:
    class Interrupted:
        def score(self, student: object, teacher: object) -> float:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judge(Interrupted(), None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import sys; sys.exit(0)", "SystemExit: 0 while it was imported"),
        ("raise GeneratorExit", "GeneratorExit while it was imported"),
        (FILE + "\nraise Shy", "Shy while it was imported"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines while it was imported"),
    ],
)
def test_a_file_that_ends_the_process_is_told_of(text: str, message: str, tmp_path: Path, command: Command) -> None:
    (tmp_path / "mine.py").write_text(text.replace("{does}", "pass"))
    ended = command("bench", *WORDS, "--workers", 1)
    assert ended.code == 1
    assert ended.error == f"--module mine.py: {message}"
    assert not (tmp_path / "s.sqlite").exists()


def test_a_teacher_that_ends_the_process_is_told_of(tmp_path: Path, command: Command) -> None:
    (tmp_path / "theirs.py").write_text("import sys\ndef teacher():\n    sys.exit()\n")
    ended = command("bench", "run", "kd", "--teacher", "theirs.py:teacher", "--limit", 1, "--store", "s.sqlite")
    assert (ended.code, ended.error) == (1, "--teacher theirs.py:teacher: SystemExit")


def test_ctrl_c_is_heard_before_the_words_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    def app(**options: bool) -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as end:
        common.cli.run(app)  # type: ignore[arg-type]
    assert end.value.code == 130
    assert capsys.readouterr().err.startswith("stopped; what was finished is kept")
