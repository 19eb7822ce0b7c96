"""How a command line begins: its application is imported, where files of the user's may stand in the way."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

LIBRARIES = ("matplotlib", "numpy", "pandas", "rich", "scipy", "sklearn", "torch", "typer", "xautodl")
"""Modules of others that are imported by every command or by many."""
ROOMS = ("images", "spaces", "distill", "probe", "proxies", "bench", "search", "analysis", "diswot_bench")
"""Packages of this project; who imports this has found `common`."""
_OURS = Path(__file__).resolve().parents[1]


def start(application: str) -> None:
    """Run the Typer application `app` of a module.

    Where something cannot be imported, now or later, because a file in the working folder has the name of a module of
    Python's, of a library or of ours, as `glob.py` has, that ends with one line and exit code 1: `python -m` looks
    there first. Ctrl-C ends it with one line from the first moment on.
    """
    try:
        app = import_module(application).app
        from common.cli import run

        run(app)
    except KeyboardInterrupt:  # while it is imported
        sys.exit(interrupted())
    except (ImportError, AttributeError):
        if line := in_the_way(Path(sys.path[0] or ".")):
            print(f"error: {line}", file=sys.stderr)
            sys.exit(1)
        raise


def interrupted() -> int:
    """Say that nothing has begun, and give the exit code of Ctrl-C."""
    print("stopped before it began", file=sys.stderr)
    return 130


def in_the_way(folder: Path) -> str:
    """One line that names the modules in whose place files of a folder stand; empty where none does."""
    taken = {*sys.stdlib_module_names, *LIBRARIES, *(() if folder.resolve() == _OURS else ROOMS)}
    files = [*sorted(folder.glob("*.py")), *(path.parent for path in sorted(folder.glob("*/__init__.py")))]
    found = [path for path in files if path.stem in taken]
    if not found:
        return ""
    return (
        f"{', '.join(map(str, found))}: Python imports this in place of a module of its own, of a library or of "
        "diswot-bench: rename it, or work elsewhere"
    )
