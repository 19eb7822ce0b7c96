"""How every command line of the project ends, and the option values they share."""

from __future__ import annotations

import codecs
import functools
import inspect
import os
import re
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from common.database import told
from common.errors import BadInput, BadUsage
from common.files import NO_ROOM, remedy
from common.progress import ended_without_progress

CELLS = "all, valid, unique, functions (of ResNets: all), labelled, or a file, a cell a line"
PROXIES = "Names joined by commas (diswot:variant=paper sets a field), or all."

Data = Annotated[Path | None, typer.Option("--data", help="Folder with the data set, where it needs one.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON array on standard output.")]
Workers = Annotated[int | None, typer.Option("--workers", help="Processes; default one a core.")]


def run(app: typer.Typer) -> None:
    """Run a Typer application. BadInput becomes one line on standard error and its exit code; Ctrl-C 130, SIGTERM 143.

    So does what the system refuses: a file, or standard output where it is full. Where nobody reads it any more the
    command ends with 1 and without a word.
    """
    _open_streams()
    heard: list[int] = []

    def stop(number: int, _frame: object) -> None:
        heard.append(number)
        raise KeyboardInterrupt  # what is under way ends as at Ctrl-C

    try:
        try:
            with (
                _handled(signal.SIGTERM, stop),
                _handled(signal.SIGINT, stop),
                _heard_everywhere(heard),
                ended_without_progress(),
            ):
                ended = app(standalone_mode=False)
                sys.exit(ended if isinstance(ended, int) else 0)
        except Exception as error:
            if heard:  # raised while compiled code is loaded or a class is made, it comes out as another error
                raise KeyboardInterrupt from error
            raise
        finally:
            sys.stdout.flush()  # here it can be told that there is no room; at the end of Python it cannot
    except BrokenPipeError:
        _drop_output()
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            _drop_output()
        print(f"error: {_told(error)}", file=sys.stderr)
        sys.exit(1)
    except BadInput as error:
        print(
            f"error: {printable(' '.join(str(error).split()))}", file=sys.stderr
        )  # what it quotes may have several lines
        sys.exit(error.exit_code)
    except sqlite3.Error as error:
        print(f"error: {told(error)}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:  # before Typer listens
        _stop(heard)
    except Exception as error:
        if not hasattr(error, "format_message"):  # the base of Typer's own is click's, or its copy of click's
            raise
        _tell_misuse(error)
    except SystemExit as end:
        if end.code == 130:  # Typer's word for Ctrl-C
            _stop(heard)
        raise


def _tell_misuse(error: Any) -> NoReturn:
    """Say in a line what is wrong with the words of a command, and exit with 2; where there are none show the help."""
    message, context = error.format_message(), getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        print(message, end="")  # nothing: asked for it, Typer has printed it
    else:
        wrong = " ".join(message.split()).rstrip(".")
        if context:
            wrong += f"{'' if wrong.endswith('?') else ';'} `{context.command_path} --help` tells what there is"
        print(f"error: {printable(wrong)}", file=sys.stderr)
    sys.exit(error.exit_code)


def _stop(heard: list[int]) -> NoReturn:
    """Say what is kept, and exit as the signal says that has ended the command; 130 where none was heard."""
    print("stopped; what was finished is kept, the same command goes on from there", file=sys.stderr)
    sys.exit(128 + heard[0] if heard else 130)


@contextmanager
def _handled(number: signal.Signals, handler: Callable[[int, object], None]) -> Iterator[None]:
    """A signal is answered by a handler meanwhile, in a program's main thread; others cannot answer any. One that is
    not listened to, as Ctrl-C by what runs in the background, stays so."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(number) is signal.SIG_IGN:
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


@contextmanager
def _heard_everywhere(heard: Sequence[int]) -> Iterator[None]:
    """A signal that comes while Python calls what may not raise, such as a weak reference's callback, comes again.

    Python prints there what was raised, and goes on as if nobody had asked for an end.
    """
    before = sys.unraisablehook

    def hook(seen: sys.UnraisableHookArgs) -> None:
        if isinstance(seen.exc_value, KeyboardInterrupt):
            again = heard[-1] if heard else signal.SIGINT
            threading.Timer(0.01, os.kill, (os.getpid(), again)).start()
        else:
            before(seen)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _open_streams() -> None:
    """Let everything be printed: where a stream is closed to nobody, and what its encoding lacks in plain signs."""
    codecs.register_error("plain", _in_plain_signs)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115  # until the end
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="plain")


PLAIN = {
    "–": "-",
    "—": "-",
    "−": "-",
    "─": "-",
    "━": "-",
    "│": "|",
    "…": "...",
    "×": "x",
    "’": "'",
    "≤": "<=",
    "≥": ">=",
}
"""What stands for a sign that an encoding lacks; for any other sign its number does."""


def _in_plain_signs(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    said = "".join(PLAIN.get(sign) or sign.encode("ascii", "backslashreplace").decode() for sign in lacking)
    return said, error.end


def _told(error: OSError) -> str:
    """What the system has refused, and what to do."""
    if error.filename is not None:
        return f"cannot use {error.filename} ({error.strerror}): {remedy(error)}"
    if error.errno in NO_ROOM:
        return f"cannot write the output ({error.strerror}): {remedy(error)}"
    return f"the system refuses to go on ({error.strerror or error}): what was finished is kept, try again"


def _drop_output() -> None:
    """Send what standard output still holds to nobody."""
    with suppress(OSError, ValueError):  # who runs this in a test has no file behind it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def application(help: str, group: type[TyperGroup] | None = None, *, completion: bool = False) -> typer.Typer:
    """Make a typer.Typer that leaves exceptions to `run`; with `completion` it can install itself into a shell."""
    return typer.Typer(
        help=help, cls=group, no_args_is_help=True, add_completion=completion, pretty_exceptions_enable=False
    )


def without(command: Callable[..., None], *hidden: str) -> Callable[..., None]:
    """The command less parameters that no command line has, and callers in Python hand in."""

    @functools.wraps(command)
    def run(**given: Any) -> None:
        command(**given)

    signature = inspect.signature(command, eval_str=True)
    shown = [one for name, one in signature.parameters.items() if name not in hidden]
    run.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    return run


MOST_SEEDS = 1000


def parse_seeds(text: str) -> list[int]:
    """Read `0`, `0-2` or `0,3,5-7` as a list of distinct seeds in ascending order. Raises BadUsage."""
    seeds: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip(), re.ASCII)
        if not found or (found[2] and int(found[2][:12]) < int(found[1][:12])):
            raise BadUsage(f"--seeds '{text}': expected numbers and ranges such as 0, 0-2 or 0,3")
        low, high = found[1], found[2] or found[1]
        if max(len(low), len(high)) > 9 or int(high) - int(low) >= MOST_SEEDS:
            raise BadUsage(f"--seeds '{text}': at most {MOST_SEEDS} seeds, each below a billion")
        seeds.update(range(int(low), int(high) + 1))
    return sorted(seeds)


def at_least_one(option: str, value: int | None) -> None:
    """Refuse a count below 1: raises BadUsage with the option's name."""
    if value is not None and value < 1:
        raise BadUsage(f"{option} {value}: must be at least 1")


def not_negative(option: str, value: int) -> None:
    """Refuse a number below 0: raises BadUsage with the option's name."""
    if value < 0:
        raise BadUsage(f"{option} {value}: must not be negative")


def data_folder(data: Path | None) -> Path | None:
    """Return the folder given as --data. Raises BadInput where it does not exist."""
    if data is not None and not data.is_dir():
        raise BadInput(f"--data {data}: no such folder")
    return data


def choose_device(name: str) -> str:
    """Return the device: `auto` is CUDA if there is one, else the CPU. Raises BadInput for one this machine lacks."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind = name.partition(":")[0]
    if kind == "cuda" and not torch.cuda.is_available():
        raise BadInput(f"--device {name}: no CUDA device on this machine; use --device cpu or auto")
    if kind not in ("cpu", "cuda"):
        raise BadInput(f"--device {name}: expected auto, cpu or cuda")
    return name


def printable(text: str) -> str:
    """The text with what moves a cursor or changes colours spelled out: names and reasons come from others."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def print_table(columns: list[str], rows: list[list[object]]) -> None:
    """Print a table for people on standard output; numbers to the right, nothing cut off."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:  # a file or a pipe has no width: lines are as long as they need to be
        console = Console(width=10_000)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        numeric = all(isinstance(row[number], int | float) for row in rows)
        table.add_column(Text(printable(column)), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(str(value))) for value in row))
    console.print(table)
