"""A command hears Ctrl-C and SIGTERM whenever they come."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest
import typer

from common.cli import run


class Falling:
    """A signal comes while it is removed, where Python prints an exception and goes on."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        signal.raise_signal(self.number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"])
def test_a_signal_that_comes_where_nothing_may_be_raised_ends_the_command(
    number: int, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app, after = typer.Typer(), []

    @app.command()
    def work() -> None:
        Falling(number)
        after.append("went on")
        time.sleep(600)

    monkeypatch.setattr("sys.argv", ["work"])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored in the background
    try:
        with pytest.raises(SystemExit) as end:
            run(app)
    finally:
        signal.signal(signal.SIGINT, before)
    assert end.value.code == code
    assert after == ["went on"]
    assert capsys.readouterr().err == "stopped; what was finished is kept, the same command goes on from there\n"


class Named:
    """A signal comes while a class is made that has one of it; Python 3.11 makes a RuntimeError of that."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __set_name__(self, owner: type, name: str) -> None:
        signal.raise_signal(self.number)


def made_otherwise(number: int) -> None:
    """As compiled code that is being loaded tells it."""
    try:
        signal.raise_signal(number)
    except KeyboardInterrupt:
        raise ImportError("initialization failed") from None


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize(
    "work", [lambda number: type("Made", (), {"field": Named(number)}), made_otherwise], ids=["class", "compiled"]
)
def test_a_signal_that_comes_out_as_another_error_ends_the_command(
    work: Callable[[int], object],
    number: int,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = typer.Typer()
    app.command()(lambda: work(number) and None)
    monkeypatch.setattr("sys.argv", ["work"])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(SystemExit) as end:
            run(app)
    finally:
        signal.signal(signal.SIGINT, before)
    assert end.value.code == code
    assert capsys.readouterr().err == "stopped; what was finished is kept, the same command goes on from there\n"


def test_other_exceptions_there_are_printed_as_ever(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        def __del__(self) -> None:
            raise ValueError("broken")

    app = typer.Typer()
    app.command()(lambda: Broken() and None)
    monkeypatch.setattr("sys.argv", ["work"])
    seen: list[str] = []
    monkeypatch.setattr("sys.unraisablehook", lambda found: seen.append(str(found.exc_value)))
    with pytest.raises(SystemExit):
        run(app)
    assert seen == ["broken"]
    assert capsys.readouterr().err == ""
