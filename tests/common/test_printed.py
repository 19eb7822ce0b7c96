"""What is printed for people is shown as it is: neither markup of the printer's nor commands to a terminal."""

from __future__ import annotations

import pytest
import typer

from common.cli import print_table, run
from common.errors import BadInput

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
