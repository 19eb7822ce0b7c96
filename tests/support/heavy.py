"""What a command line imports that costs seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HEAVY = (
    "torch",
    "scipy.stats",
    "scipy.cluster",
    "matplotlib",
    "pandas",
    "sklearn",
    "datasets",
    "pyarrow",
    "pyarrow.compute",
    "PIL",
)

_INVOKE = """
import json, sys
from importlib import import_module
from typer.testing import CliRunner
room, code, invocations, heavy = sys.argv[1], *map(json.loads, sys.argv[2:])
app = import_module(room + ".cli").app
for words in invocations:
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code == code, (words, ended.output, ended.exception)
print(json.dumps(sorted(set(heavy) & sys.modules.keys())))
"""


def heavy_imports(code: int, room: str, invocations: list[list[str]], folder: Path, environment: dict[str, str]) -> str:
    """What of `HEAVY` a process has imported after these invocations, each of which must end with the code."""
    words = [room, *map(json.dumps, (code, invocations, HEAVY))]
    done = subprocess.run(
        [sys.executable, "-c", _INVOKE, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
