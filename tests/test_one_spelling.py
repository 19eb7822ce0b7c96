"""Every command line names proxies and cells in the same words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import typer
from typer.core import TyperGroup

from analysis.cli import app as analysis
from bench.cli import app as bench
from common.cli import CELLS, PROXIES
from distill.cli import app as distill
from diswot_bench.app import app as whole
from search.cli import app as search
from tests.conftest import Command

pytestmark = pytest.mark.slow

ROOMS = {"analysis": analysis, "bench": bench, "distill": distill, "diswot-bench": whole, "search": search}


def parameters() -> Iterator[tuple[str, str, str]]:
    """(command, parameter, help)."""
    for room, app in ROOMS.items():
        group = typer.main.get_command(app)
        assert isinstance(group, TyperGroup)
        for name, command in group.commands.items():
            for one in command.params if not isinstance(command, TyperGroup) else ():
                yield f"{room} {name}", max(one.opts, key=len), str(getattr(one, "help", ""))


def test_lists_of_proxies_have_one_spelling() -> None:
    found = {name: text for name, what, text in parameters() if what in ("proxies", "--proxies")}
    assert {"analysis correlate", "bench run", "bench diff", "bench cost", "analysis figures"} <= found.keys()
    assert [name for name, text in found.items() if not text.startswith(PROXIES)] == []


def test_cells_are_a_set_or_a_file_everywhere() -> None:
    found = {name: text for name, what, text in parameters() if what == "--cells"}
    assert {"analysis correlate", "bench run", "search search", "distill run"} <= found.keys()
    assert [name for name, text in found.items() if not text.startswith(CELLS) and name != "distill run"] == []
    assert found["distill run"].startswith("all, valid, unique, functions, or a file, a cell a line")


@pytest.mark.parametrize("room", ["search", "diswot_bench"])
def test_a_method_asks_for_help_without_the_word_search(room: str, command: Command) -> None:
    ended = command(room, *(["search"] if room != "search" else []), "evolve", "--help")
    assert (ended.code, ended.err) == (0, "")
    assert "DisWOT's Algorithm 1" in " ".join(ended.out.split())
