"""How a command line begins: its application is imported, where files of the user's may stand in the way."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

LIBRARIES = ("matplotlib", "numpy", "pandas", "rich", "scipy", "sklearn", "torch", "typer", "xautodl")
"""Modules of others that are imported by every command or by many."""


def start(application: str) -> None:
    """Run the Typer application `app` of a module.

    Where something cannot be imported, now or later, because a file in the working folder has the name of a module of
    Python's or of a library, as `glob.py` has, that ends with one line and exit code 1: `python -m` looks there first.
    """
    try:
        app = import_module(application).app
        from common.cli import run

        run(app)
    except (ImportError, AttributeError):
        if line := in_the_way(Path(sys.path[0] or ".")):
            print(f"error: {line}", file=sys.stderr)
            sys.exit(1)
        raise


def in_the_way(folder: Path) -> str:
    """One line that names the modules of others in whose place files of a folder stand; empty where none does."""
    taken = {*sys.stdlib_module_names, *LIBRARIES}
    found = [path for path in sorted(folder.glob("*.py")) if path.stem in taken]
    if not found:
        return ""
    return (
        f"{', '.join(map(str, found))}: Python imports this in place of its own module or of a library's: rename it, "
        "or work elsewhere"
    )
