"""A room imports from the rooms below it and from no other, and words cost no seconds: heavy imports wait."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("common", "images", "spaces", "distill", "proxies", "bench", "search", "analysis")
"""Bottom to top."""
PRESENT = [room for room in ROOMS if (ROOT / room).is_dir()]
HEAVY = ("torch", "scipy.stats", "matplotlib", "pandas", "sklearn", "datasets", "pyarrow", "PIL")


def imports(source: str) -> list[tuple[int, str]]:
    """(line, module) of every import, those inside functions and for type checkers too."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.lineno, "." * node.level + (node.module or "")))
    return found


def arrows_up(room: str, source: str) -> list[str]:
    """The imports of a module of a room that do not lead to the room itself or down."""
    allowed = ROOMS[: ROOMS.index(room) + 1]
    known = (*ROOMS, "tests")
    return [
        f"line {line}: {module}"
        for line, module in imports(source)
        if module.startswith(".") or (module.split(".")[0] in known and module.split(".")[0] not in allowed)
    ]


def modules(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", PRESENT)
def test_a_room_imports_only_from_itself_and_from_rooms_below(room: str) -> None:
    found = {str(path.relative_to(ROOT)): arrows_up(room, path.read_text()) for path in modules(room)}
    assert not {path: arrows for path, arrows in found.items() if arrows}


@pytest.mark.parametrize(
    "line",
    [
        "import bench",
        "from bench.plan import Pass",
        "def f():\n    import analysis.labels",
        "if TYPE_CHECKING:\n    from search import evolve",
        "from . import probe",
        "from tests.conftest import Ended",
    ],
)
def test_an_arrow_up_is_found_wherever_it_stands(line: str) -> None:
    assert arrows_up("proxies", line)
    assert not arrows_up(
        "proxies", "import torch\nimport proxies.base\nfrom distill.losses import kd\nimport benchmark"
    )


def test_every_package_is_a_room() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages <= set(ROOMS)
    assert {"common", "images", "spaces", "distill", "proxies", "bench", "search", "analysis"} <= packages


@pytest.mark.parametrize("room", PRESENT)
def test_no_module_imports_torchvision(room: str) -> None:
    for path in modules(room):
        assert not [module for _, module in imports(path.read_text()) if module.split(".")[0] == "torchvision"], path


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
        [sys.executable, "-c", _INVOKE, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("room", "invocations"),
    [
        ("bench", [["--help"], ["run", "--help"], ["list"], ["list", "--json"]]),
        (
            "analysis",
            [["--help"], *([word, "--help"] for word in ("correlate", "reliability", "class-pairs", "import"))],
        ),
        (
            "distill",
            [
                ["--help"],
                *([word, "--help"] for word in ("run", "status", "merge", "teacher", "process", "compare", "speed")),
            ],
        ),
        ("search", [["--help"]]),
    ],
)
def test_help_and_list_import_nothing_heavy(
    room: str, invocations: list[list[str]], tmp_path: Path, environment: dict[str, str]
) -> None:
    assert heavy_imports(0, room, invocations, tmp_path, environment) == "[]"


@pytest.mark.parametrize(
    ("room", "invocations"),
    [
        (
            "bench",
            [
                ["run", "diswott"],
                ["run", "params", "--benchmark", "digit"],
                ["run", "params", "--limit", "0"],
                ["verify", "parms"],
                ["show", "no cell"],
                ["status"],
            ],
        ),
        ("analysis", [["correlate", "diswott"], ["correlate", "params", "--benchmark", "digit"]]),
        ("distill", [["run", "--benchmark", "digit"], ["status", "--benchmark", "digit"], ["run", "--limit", "0"]]),
        ("search", [["evolv"], ["evolve", "--proxy", "diswott"], ["evolve", "--max-params", "few"], ["tpe:startup=0"]]),
    ],
)
def test_a_wrong_word_costs_no_heavy_import(
    room: str, invocations: list[list[str]], tmp_path: Path, environment: dict[str, str]
) -> None:
    assert heavy_imports(1, room, invocations, tmp_path, environment) == "[]"
