"""Errors meant for the person at the keyboard: one line that says what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BadInput(Exception):
    """A file, folder or device that cannot be used. Command lines print it as one line and exit with `exit_code`."""

    exit_code = 1


class BadUsage(BadInput):
    """A word on the command line that means nothing: unknown name, malformed cell, value out of range."""

    exit_code = 2


def unknown(kind: str, name: str, known: Iterable[str], other: str = "") -> BadUsage:
    """Make the error for a name that is not among `known`, and suggest the nearest, or all and `other`."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
    few = known if len(known) < 100 else [*known[:5], f"... ({len(known)} in all)"]
    every = ", ".join(few) + (f", or {other}" if other else "")
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {every}"
    return BadUsage(f"unknown {kind} {name!r}: {hint}")


LONGEST = 300
"""Characters of what others say that are kept."""


def said(error: BaseException) -> str:
    """What an exception says, on one line that any file can hold, cut to `LONGEST`; nothing where it cannot say it."""
    try:
        text = str(error)
    except KeyboardInterrupt:
        raise
    except BaseException:  # whatever a class of somebody else's does
        return ""
    line = " ".join(text[: 10 * LONGEST].split())
    return line.encode(errors="backslashreplace").decode()[:LONGEST]


def one_line(error: BaseException) -> str:
    """The kind of an exception and what it says, cut to `LONGEST`."""
    return f"{type(error).__name__}: {said(error)}".removesuffix(": ")[:LONGEST]
