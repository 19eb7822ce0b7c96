"""What is printed for people is shown as it is: neither markup of the printer's nor commands to a terminal."""

from __future__ import annotations

import io
import sys

import pytest
import typer
from forked import python

from common.cli import print_table, run
from common.errors import BadInput
from tests.conftest import Fork

ODD = ["[/nope]", "[red]x", "[link=http://x.y]x[/link]", "a\\[b]", ":smile:", "[[1]]", "é±–"]


def test_cells_and_heads_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(ODD, [ODD, ODD])
    head, _, *rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert [head, *rows] == [ODD] * 3


def test_nothing_moves_the_cursor_or_breaks_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["a", "n"], [["\x1b[2J\x1b]0;x\x07", 1], ["two\nlines\r", 2], ["\u202eright", 3]])
    out = capsys.readouterr().out
    assert "\\x1b[2J\\x1b]0;x\\x07" in out
    assert "two\\nlines\\r" in out
    assert "\\u202eright" in out
    assert all(character.isprintable() for character in out.replace("\n", ""))


def test_nor_does_an_error(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    app = typer.Typer()

    @app.command()
    def fail() -> None:
        raise BadInput("no file \x1b[2J\udcff\nbehind")

    monkeypatch.setattr("sys.argv", ["x"])
    with pytest.raises(SystemExit):
        run(app)
    assert capsys.readouterr().err == "error: no file \\x1b[2J\\udcff behind\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
def test_an_encoding_that_lacks_dashes_and_lines_gets_plain_signs(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding=encoding) for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    app = typer.Typer()

    @app.command()
    def show() -> None:
        print_table(["a – b", "n"], [["1 ≤ 2 …", "–"], ["日", "é"]])
        raise BadInput("no – file")

    monkeypatch.setattr("sys.argv", ["x"])
    with pytest.raises(SystemExit):
        run(app)
    for stream in streams.values():
        stream.flush()
    out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams.values())  # type: ignore[attr-defined]
    assert err == "error: no - file\n"
    assert "a - b" in out
    assert "..." in out
    assert "\\u65e5" in out
    assert "\\u2" not in out, "no dash or line by its number"
    assert ("é" if encoding != "ascii" else "\\xe9") in out


def in_encoding(encoding: str, *words: str) -> None:
    """What `PYTHONIOENCODING=encoding python WORDS` does."""
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, io.TextIOWrapper)
        stream.reconfigure(encoding=encoding)
    python(*words)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_every_kind_of_output_is_plain_there(encoding: str, fork: Fork) -> None:
    for words in (["bench", "list", "nwot"], ["analysis", "correlate", "--help"], ["bench", "describe", "nwot"]):
        code, out, err = fork(in_encoding, encoding, "-m", *words).end()
        assert (code, err) == (0, "")
        assert out
        assert out.isascii()
        assert "\\u" not in out
