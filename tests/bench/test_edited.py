"""Scores of a formula are never mixed with those of the formula as it was before an edit."""

from __future__ import annotations

import importlib
import json
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Command

from common import modules

FILE = """
from dataclasses import dataclass
from proxies.base import NotApplicable, Proxy, Reference

@dataclass(frozen=True)
class Mine(Proxy):
    name = "mine"
    version = 1
    family = "test"
    needs = ("weights",)
    sees = "cell"
    reference = Reference("A title", 2024, "", "")

    def score(self, student, teacher):
        return 1.5
"""
EDITED = FILE.replace("return 1.5", "return 2.5")
STORE = ("--store", "s.sqlite")
WORDS = ("--module", "mine.py", "--workers", 1)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


def scores(path: Path) -> dict[float | None, int]:
    with closing(sqlite3.connect(path)) as database:
        return dict(database.execute("SELECT score, COUNT(*) FROM score GROUP BY score").fetchall())


@pytest.mark.slow
def test_an_edited_formula_stops_the_run_and_stores_nothing(mine: Path, tmp_path: Path, command: Command) -> None:
    assert command("bench", "run", "mine", *WORDS, *STORE, "--limit", 5).code == 0
    mine.write_text(EDITED)
    ended = command("bench", "run", "mine,params", *WORDS, *STORE, "--limit", 10)
    assert ended.code == 1
    assert ended.error.startswith("the formula of mine changed since the 5 scores of mine on digits in s.sqlite: ")
    assert "--rescore" in ended.error
    assert "`version`" in ended.error
    assert scores(tmp_path / "s.sqlite") == {1.5: 5}


@pytest.mark.slow
def test_rescore_replaces_all_of_the_old_formula(mine: Path, tmp_path: Path, command: Command) -> None:
    assert command("bench", "run", "mine", *WORDS, *STORE, "--limit", 5, "--seeds", "0-1").code == 0
    mine.write_text(EDITED)
    ended = command("bench", "run", "mine", *WORDS, *STORE, "--limit", 3, "--rescore")
    assert "3 of 3 scores" in ended.out
    assert scores(tmp_path / "s.sqlite") == {2.5: 3}, "seed 1 of the old formula would be read beside it"
    ended = command("bench", "run", "mine", *WORDS, *STORE, "--limit", 3, "--rescore")
    assert ", 0 passes" in ended.out, "what is of today's formula stays"


@pytest.mark.slow
def test_scores_of_another_batch_are_found_too(mine: Path, tmp_path: Path, command: Command) -> None:
    mine.write_text(FILE.replace('("weights",)', '("forward",)'))  # a setting of its own for each seed
    assert command("bench", "run", "mine", *WORDS, *STORE, "--limit", 2, "--seeds", "0-1").code == 0
    mine.write_text(mine.read_text().replace("1.5", "2.5"))
    assert command("bench", "run", "mine", *WORDS, *STORE, "--limit", 2, "--seeds", 2).code == 1
    assert command("bench", "run", "mine", *WORDS, *STORE, "--limit", 2, "--seeds", 2, "--rescore").code == 0
    assert scores(tmp_path / "s.sqlite") == {2.5: 2}


@pytest.mark.slow
def test_a_raised_version_keeps_both(mine: Path, tmp_path: Path, command: Command) -> None:
    assert command("bench", "run", "mine", *WORDS, *STORE, "--limit", 5).code == 0
    mine.write_text(EDITED.replace("version = 1", "version = 2"))
    assert command("bench", "run", "mine", *WORDS, *STORE, "--limit", 10).code == 0
    assert scores(tmp_path / "s.sqlite") == {1.5: 5, 2.5: 10}


@pytest.mark.slow
def test_comments_and_titles_change_no_formula(mine: Path, tmp_path: Path, command: Command) -> None:
    assert command("bench", "run", "mine", *WORDS, *STORE, "--limit", 5).code == 0
    mine.write_text(FILE.replace("return 1.5", "return (1.5)  # as ever").replace("A title", "Another title"))
    assert command("bench", "run", "mine", *WORDS, *STORE, "--limit", 10).code == 0
    assert scores(tmp_path / "s.sqlite") == {1.5: 10}


@pytest.mark.slow
def test_errors_from_before_it_was_mended_hold_nobody_up(mine: Path, tmp_path: Path, command: Command) -> None:
    mine.write_text(FILE.replace("return 1.5", "raise ValueError('half done')"))
    command("bench", "run", "mine", *WORDS, *STORE, "--limit", 5)
    mine.write_text(FILE)
    assert command("bench", "run", "mine", *WORDS, *STORE, "--limit", 3).code == 0
    assert scores(tmp_path / "s.sqlite") == {1.5: 3}


@pytest.mark.slow
def test_not_applicable_is_a_formulas_word(mine: Path, command: Command) -> None:
    mine.write_text(FILE.replace("return 1.5", "raise NotApplicable('no')"))
    command("bench", "run", "mine", *WORDS, *STORE, "--limit", 5)
    mine.write_text(FILE)
    assert command("bench", "run", "mine", *WORDS, *STORE, "--limit", 3).code == 1


@pytest.mark.slow
def test_rows_of_an_older_store_are_vouched_for(mine: Path, tmp_path: Path, command: Command) -> None:
    assert command("bench", "run", "mine", *WORDS, *STORE, "--limit", 5).code == 0
    with closing(sqlite3.connect(tmp_path / "s.sqlite")) as database:
        database.execute("DROP TABLE source")
        database.execute("PRAGMA user_version = 1")
        database.commit()
    mine.write_text(EDITED)
    assert command("bench", "run", "mine", *WORDS, *STORE, "--limit", 6).code == 0
    assert scores(tmp_path / "s.sqlite") == {1.5: 5, 2.5: 1}
    mine.write_text(FILE)
    assert command("bench", "run", "mine", *WORDS, *STORE, "--limit", 6).code == 1, "from then on it is known"


@pytest.mark.slow
def test_a_built_in_formula_counts_as_well(tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("bench", "run", "params", "--limit", 5, "--workers", 1, *STORE).code == 0
    monkeypatch.setattr("bench.identity.source_hash", lambda *_: "another")
    ended = command("bench", "run", "params", "--limit", 5, "--workers", 1, *STORE)
    assert "the formula of params changed since the 5 scores" in ended.error


@pytest.mark.slow
def test_stores_of_two_formulas_are_not_merged(mine: Path, tmp_path: Path, command: Command) -> None:
    assert command("bench", "run", "mine", *WORDS, *STORE, "--limit", 5).code == 0
    assert command("bench", "export", "mine", "--module", "mine.py", *STORE, "--output", "old").code == 0
    assert json.loads((tmp_path / "old/digits/manifest.json").read_text())["mine.csv.gz"]["settings"]["0"]["sources"]
    mine.write_text(EDITED)
    assert command("bench", "run", "mine", *WORDS, "--store", "t.sqlite", "--limit", 6).code == 0
    for other in ("s.sqlite", "old/digits"):
        ended = command("bench", "merge", other, "--module", "mine.py", "--store", "t.sqlite")
        assert ended.code == 1
        assert "the formula of mine was another" in ended.error
        assert scores(tmp_path / "t.sqlite") == {2.5: 6}


@pytest.mark.slow
def test_a_merged_store_remembers_its_formula(mine: Path, tmp_path: Path, command: Command) -> None:
    assert command("bench", "run", "mine", *WORDS, *STORE, "--limit", 5).code == 0
    assert command("bench", "export", "mine", "--module", "mine.py", *STORE, "--output", "out").code == 0
    for number, other in enumerate(("s.sqlite", "out/digits")):
        mine.write_text(FILE)
        assert command("bench", "merge", other, "--module", "mine.py", "--store", f"{number}.sqlite").code == 0
        mine.write_text(EDITED)
        assert command("bench", "run", "mine", *WORDS, "--store", f"{number}.sqlite", "--limit", 5).code == 1


TEACHER = """
import torch
from torch import nn

def teacher():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10)).eval()
"""


@pytest.mark.slow
def test_a_teacher_that_computes_otherwise_is_told_and_another_name_keeps_it_apart(
    tmp_path: Path, command: Command
) -> None:
    own = TEACHER.replace("nn.ReLU()]", "Bend()]").replace(
        "def teacher", "class Bend(nn.ReLU):\n    pass\n\ndef teacher"
    )
    path = tmp_path / "theirs.py"
    path.write_text(own)
    words = ("--limit", 2, "--workers", 1, *STORE)
    assert command("bench", "run", "kd", "--teacher", "theirs.py:teacher", *words).code == 0
    edited = own.replace("    pass", "    def forward(self, x):\n        return super().forward(x) * 2")
    path.write_text(edited)
    modules.use([path])  # as a new process would read it
    ended = command("bench", "run", "kd", "--teacher", "theirs.py:teacher", *words)
    assert ended.code == 1
    assert ended.error.startswith("the code of the teacher ")
    assert "scores them anew, another name of its function keeps them apart" in ended.error
    assert "`version`" not in ended.error
    path.write_text(edited.replace("def teacher", "def doubled"))
    modules.use([path])
    ended = command("bench", "run", "kd", "--teacher", "theirs.py:doubled", *words)
    assert "2 of 2 scores" in ended.out


@pytest.mark.slow
def test_a_teacher_in_another_mode_is_another(tmp_path: Path, command: Command) -> None:
    path = tmp_path / "theirs.py"
    path.write_text(TEACHER)
    words = ("--teacher", "theirs.py:teacher", "--limit", 2, "--workers", 1, *STORE)
    assert command("bench", "run", "kd", *words).code == 0
    path.write_text(TEACHER.replace(".eval()", ".train()"))
    modules.use([path])  # as a new process would read it
    ended = command("bench", "run", "kd,nwot", *words)
    assert "4 of 4 scores" in ended.out
    assert "2 passes" in ended.out, "its mode is part of its identity, and so of a score's"


@pytest.mark.slow
def test_a_space_whose_networks_are_built_otherwise_is_another(tmp_path: Path, command: Command) -> None:
    from test_modules import MINE

    path = tmp_path / "space.py"
    path.write_text(MINE)
    words = ("--benchmark", "mine", "--module", "space.py", "--workers", 1, *STORE)
    assert command("bench", "run", "nwot", *words, "--limit", 2).code == 0
    path.write_text(MINE.replace("nn.ReLU())", "nn.ReLU(), nn.ReLU())"))
    ended = command("bench", "run", "nwot", *words, "--limit", 3)
    assert ended.code == 1
    assert "the code of the space widths changed since the 2 scores of nwot" in ended.error
    assert "anew, another name of the benchmark keeps them apart" in ended.error
    path.write_text(path.read_text().replace('"mine"', '"other"'))
    renamed = command("bench", "run", "nwot", *words[:1], "other", *words[2:], "--limit", 3)
    assert renamed.code == 0, renamed.err
    path.write_text(path.read_text().replace('"other"', '"mine"'))
    assert command("bench", "run", "nwot", *words, "--limit", 3, "--rescore").code == 0


def test_what_a_function_imports_when_it_is_called_is_a_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.checks.source import source_hash

    def written(value: int) -> str | None:
        (tmp_path / "late_helper.py").write_text(f"def f():\n    return {value}\n")
        importlib.invalidate_caches()
        sys.modules.pop("late_helper", None)
        return source_hash([module.Mine])

    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "late.py").write_text(
        "class Mine:\n    def score(self):\n        import late_helper\n        return late_helper.f()\n"
    )
    module = importlib.import_module("late")
    assert written(1) == written(1) != written(2)
    for name in ("late", "late_helper"):
        sys.modules.pop(name, None)


def test_the_network_of_a_space_that_was_put_into_the_tree_is_a_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.checks import source

    monkeypatch.setattr(source, "_OTHERS", (tmp_path,))
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "plain_in_tree"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "space.py").write_text(
        "def build():\n    from plain_in_tree.network import Network\n    return Network()\n"
    )

    def written(value: int, folders: tuple[Path, ...]) -> str | None:
        (folder / "network.py").write_text(f"class Network:\n    width = {value}\n")
        importlib.invalidate_caches()
        sys.modules.pop("plain_in_tree.network", None)
        return source.source_hash([module.build], folders=folders)

    module = importlib.import_module("plain_in_tree.space")
    assert written(1, (folder,)) != written(2, (folder,))
    assert written(1, ()) == written(2, ()), "what is not the user's has a version of its own"
    for name in [name for name in sys.modules if name.startswith("plain_in_tree")]:
        sys.modules.pop(name)


@pytest.mark.parametrize("folder", ["site-packages", "dist-packages", "target"])
def test_what_is_installed_elsewhere_is_not_the_users(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in another environment on the path, in the user's own folder of packages, or in one of `pip --target`."""
    from bench.checks import source

    monkeypatch.setattr(source, "_needed", lambda: {tmp_path / "target"})
    place = tmp_path / folder
    place.mkdir()
    (tmp_path / "mine_of_test_edited.py").write_text(
        "import installed_elsewhere\n\n\ndef formula():\n    return installed_elsewhere.VALUE\n"
    )
    for entry in (tmp_path, place):
        monkeypatch.syspath_prepend(entry)

    def written(value: int) -> str | None:
        (place / "installed_elsewhere.py").write_text(f"VALUE = {value}\n")
        importlib.invalidate_caches()
        sys.modules.pop("installed_elsewhere", None)
        return source.source_hash([importlib.import_module("mine_of_test_edited").formula])

    assert written(1) == written(2)
    sys.modules.pop("mine_of_test_edited")


def test_a_file_that_is_edited_while_it_is_in_use_ends_the_run(mine: Path, tmp_path: Path, fork: object) -> None:
    import pickle

    from bench.benchmarks import benchmark
    from bench.worker import Setup
    from common.errors import BadInput
    from common.modules import use
    from proxies.registry import create

    use([mine])
    data = pickle.dumps(Setup(benchmark("digits"), (create("mine", (mine,)),), (mine,), None, "cpu"))
    mine.write_text(EDITED)
    try:
        with pytest.raises(BadInput, match=r"mine\.py was changed while it was in use"):
            pickle.loads(data)
    finally:
        use(())


def test_the_fixture_of_format_1_is_brought_up_to_date(tmp_path: Path) -> None:
    from bench.store import ScoreStore

    fixture = Path(__file__).parents[1] / "fixtures" / "scores-v1.sqlite"
    shutil.copyfile(fixture, tmp_path / "s.sqlite")
    for write in (False, True):  # a reader has a copy of it
        store = ScoreStore(tmp_path / "s.sqlite", write=write)
        assert store.sources(1) == {}
        store.check()
        store.close()
