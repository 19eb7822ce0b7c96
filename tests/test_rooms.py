"""A room imports from the rooms below it and from no other, and words cost no seconds: heavy imports wait."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from cifar_files import parquet_folder
from conftest import Command
from heavy import heavy_imports

ROOT = Path(__file__).parents[1]
ROOMS = ("common", "images", "spaces", "distill", "probe", "proxies", "bench", "search", "analysis", "diswot_bench")
"""Bottom to top."""
PRESENT = [room for room in ROOMS if (ROOT / room).is_dir()]


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


@pytest.mark.slow
@pytest.mark.parametrize("room", PRESENT)
def test_a_room_imports_only_from_itself_and_from_rooms_below(room: str) -> None:
    found = {str(path.relative_to(ROOT)): arrows_up(room, path.read_text()) for path in modules(room)}
    assert not {path: arrows for path, arrows in found.items() if arrows}


@pytest.mark.parametrize(
    "line",
    [
        "import bench",
        "from bench.plan import Pass",
        "def f():\n    import analysis.read.labels",
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


LAYERS = {"analysis": ("stats", "read", "importers", "studies", "tables", "figures", "pages", "report")}
"""Folders of a room from bottom to top: one imports from those in front of it."""


@pytest.mark.slow
@pytest.mark.parametrize("room", LAYERS)
def test_a_folder_imports_only_from_those_below_it(room: str) -> None:
    order = LAYERS[room]
    found = []
    for place, folder in enumerate(order):
        above = {f"{room}.{name}" for name in order[place + 1 :]}
        for path in (ROOT / room / folder).rglob("*.py"):
            if path.name != "cli.py":
                names = [name for _, name in imports(path.read_text())]
                found += [f"{path.name}: {name}" for name in names if ".".join(name.split(".")[:2]) in above]
    assert not found


def edges() -> dict[str, set[str]]:
    """Module: the modules it imports, those inside functions and for type checkers too."""
    files = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for room in ROOMS for path in modules(room)}
    known = {name.removesuffix(".__init__"): path for path, name in files.items()}
    found: dict[str, set[str]] = {}
    for name, path in known.items():
        reads = found.setdefault(name, set())
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                reads |= {alias.name for alias in node.names if alias.name in known}
            elif isinstance(node, ast.ImportFrom) and node.module:
                parts = {f"{node.module}.{alias.name}" for alias in node.names}
                # what is imported of a package is its modules where they have these names
                reads |= (parts & known.keys()) or ({node.module} & known.keys())
    return found


def circles(graph: dict[str, set[str]]) -> list[str]:
    """The modules that are left when, again and again, those that read none of the others are taken away."""
    left = {name: set(reads) - {name} for name, reads in graph.items()}
    while ends := [name for name, reads in left.items() if not reads & left.keys()]:
        for name in ends:
            del left[name]
    return sorted(left)


@pytest.mark.slow
def test_no_two_modules_import_each_other_in_a_circle() -> None:
    assert not circles(edges())


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]


@pytest.mark.parametrize("room", PRESENT)
def test_files_and_folders_stay_small_enough_to_be_looked_through(room: str) -> None:
    """At most 400 lines a file and 15 files a folder; proxies and figures are collections."""
    long = {path.name: count for path in modules(room) if (count := len(path.read_text().splitlines())) > 400}
    assert not long
    folders = {path.parent for path in modules(room)}
    files = {folder: len([*folder.glob("*.py")]) - (folder / "__init__.py").exists() for folder in folders}
    crowded = {folder.name: count for folder, count in files.items() if count > 15}
    assert set(crowded) <= {"proxies", "figures"}


@pytest.mark.slow
@pytest.mark.parametrize("room", ["bench", "search", "analysis"])
def test_no_default_argument_names_a_space(room: str) -> None:
    for path in modules(room):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.arguments):
                defaults = [*node.defaults, *filter(None, node.kw_defaults)]
                assert not [d for d in defaults if isinstance(d, ast.Name) and d.id in ("NB201", "RESNET")], path


def test_every_package_is_a_room() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages <= set(ROOMS)
    assert {"common", "images", "spaces", "distill", "proxies", "bench", "search", "analysis"} <= packages


@pytest.mark.slow
@pytest.mark.parametrize("room", PRESENT)
def test_no_module_imports_torchvision(room: str) -> None:
    for path in modules(room):
        assert not [module for _, module in imports(path.read_text()) if module.split(".")[0] == "torchvision"], path


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_run_imports_what_it_computes_and_reads_with(tmp_path: Path, environment: dict[str, str]) -> None:
    """Digits come with a package that is not imported; neither CIFAR nor the share of labelled cells needs tables."""
    parquet_folder(tmp_path, "cifar10", 100)
    words = ["run", "diswot", "--limit", "2", "--workers", "1"]
    runs = [words, [*words, "--benchmark", "cifar10-subset", "--data", "."]]
    assert heavy_imports(0, "bench", runs, tmp_path, environment) == '["PIL", "pyarrow", "torch"]'


@pytest.mark.slow
def test_a_correlation_is_computed_and_drawn_without_torch(
    tmp_path: Path, environment: dict[str, str], command: Command
) -> None:
    assert command("bench", "run", "params", "--cells", "labelled", "--limit", 5, "--workers", 1).code == 0
    found = json.loads(heavy_imports(0, "analysis", [["correlate", "params"]], tmp_path, environment))
    assert {"matplotlib", "pandas", "scipy.stats"} <= set(found)
    assert not {"torch", "sklearn", "scipy.cluster", "datasets"} & set(found)


@pytest.mark.parametrize("room", PRESENT)
def test_places_under_results_are_named_in_one_file(room: str) -> None:
    for path in modules(room):
        if path.name != "results.py" or room != "common":
            assert 'Path("results' not in path.read_text(), path
