"""The rooms of the house and the imports between them: the picture in docs/architecture.md and the list in README.md.

A room is a package in the root of the tree. Its words are the first line of its docstring, its arrows are the imports
of its modules. `python -m analysis architecture` draws the picture; a test fails while it is not that of the code.
"""

from __future__ import annotations

import ast
from pathlib import Path

from analysis.pages.marks import Marks, replaced
from analysis.typeset import DASH

PAGE = Path("docs/architecture.md")
MARKS = Marks("<!-- rooms: made by `python -m analysis architecture`; do not edit -->", "<!-- end of the rooms -->")


def page(text: str, root: Path = Path()) -> str:
    """docs/architecture.md, given as `text`, with the picture drawn anew. Raises BadInput without its marks."""
    return replaced(text, MARKS, f"```mermaid\n{mermaid(imports(root))}```\n\n{_table(root)}", PAGE)


def rooms(root: Path = Path()) -> dict[str, str]:
    """What every room says of itself, by its name."""
    packages = (path for path in sorted(root.glob("*/__init__.py")) if path.parent.name != "tests")
    docstrings = {path.parent.name: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) for path in packages}
    return {name: (docstring or "").partition("\n\n")[0].replace("\n", " ") for name, docstring in docstrings.items()}


def imports(root: Path = Path()) -> dict[str, set[str]]:
    """The other rooms that the modules of each room import, inside functions and for type checkers too."""
    known = rooms(root)
    return {room: _imported(root / room) & set(known) - {room} for room in known}


def _imported(folder: Path) -> set[str]:
    """The first parts of all modules that the files of a folder import."""
    found: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found


def top_to_bottom(graph: dict[str, set[str]]) -> list[str]:
    """The rooms so that each stands above all that it imports; ValueError where rooms import each other in a circle."""
    below = reachable(graph)
    if circle := [room for room, under in below.items() if room in under]:
        raise ValueError(f"rooms import each other in a circle: {', '.join(sorted(circle))}")
    return sorted(graph, key=lambda room: (-len(below[room]), room))


def reachable(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """For each room all rooms that it imports, at any distance."""
    found = {room: set(direct) for room, direct in graph.items()}
    for _ in graph:
        found = {room: under.union(*(found[other] for other in under)) for room, under in found.items()}
    return found


def mermaid(graph: dict[str, set[str]]) -> str:
    """The rooms as a diagram. An arrow that a longer way implies is left out: common would have one from every room."""
    below, order = reachable(graph), top_to_bottom(graph)
    lines = ["flowchart TD"]
    for room in order:
        implied = set().union(*(below[other] for other in graph[room]))
        lines += [f"    {room} --> {other}" for other in order if other in graph[room] - implied]
    return "\n".join(lines) + "\n"


def listing(root: Path = Path()) -> str:
    """The rooms from top to bottom, each with what it says of itself in front of a colon."""
    words, order = rooms(root), top_to_bottom(imports(root))
    width = max(map(len, order)) + 3
    return "".join(f"{f'{room}/'.ljust(width)}{words[room].partition(':')[0].rstrip('.')}\n" for room in order)


def _table(root: Path) -> str:
    """The rooms from top to bottom: what each is, and all rooms that it imports."""
    words, graph = rooms(root), imports(root)
    order = top_to_bottom(graph)
    head = "| room | what it is | imports from |\n|---|---|---|\n"
    return head + "".join(
        f"| `{room}/` | {words[room]} | {', '.join(other for other in order if other in graph[room]) or DASH} |\n"
        for room in order
    )
