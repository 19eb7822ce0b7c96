"""Every command that writes outside the store, on what cannot be written: one line, exit code 1, and nothing is left.

Root may write what is read-only; a file in the place of a folder stops it as well.
"""

from __future__ import annotations

import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from small_results import CELLS, small_results

from bench.benchmarks import benchmark
from bench.identity import fingerprint, settings
from bench.store import Row, ScoreStore
from distill.store import AccuracyStore
from images import digits
from proxies import registry

pytestmark = pytest.mark.slow

Command = Callable[..., Any]

OUT = "OUT"
"""Stands for where a command is told to write."""
RUN = ("--benchmark", "digits-rehearsal", "--store", "results/store/a.sqlite", "--device", "cpu")
PAIR = ("--benchmark", "digits-rehearsal", "--student", "1649")

QUICK: dict[str, tuple[object, ...]] = {
    "scores": ("bench", "export", "nwot", "--store", "s.sqlite", "--output", OUT),
    "an import": ("analysis", "import", "csv", "labels.csv", "--dataset", "cifar10", "--output", OUT),
    "label sets": ("analysis", "label-sets", "--tables", "results/accuracies", "--output", OUT),
    "searches": ("search", "search", "random", "--proxy", "params", "--budget", 5, "--output", OUT),
}
SLOW: dict[str, tuple[object, ...]] = {
    "costs": ("bench", "cost", "params", "--sample", 1, "--device", "cpu", "--output", OUT),
    "unlabelled": ("analysis", "searches", "--unlabelled", f"{OUT}/cells.txt"),
    "a table of trainings": ("distill", "export", *RUN[:4], "--output", OUT),
    "a scatter plot": (
        *("analysis", "correlate", "nwot", "--store", "s.sqlite", "--against", "labels.csv", "--figures", OUT),
    ),
    "tables": ("analysis", "tables", "--output", OUT),
    "figures": ("analysis", "figures", "--output", OUT),
    "a report": ("analysis", "report", "--output", f"{OUT}/report.html"),
    "a crossing": ("bench", "crossing", "params,nwot", "--sample", 1, "--draws", 2, "--device", "cpu", "--output", OUT),
    "trainings": ("distill", "run", *RUN, "--limit", 1, "--seeds", "0", "--workers", 1, "--output", OUT),
    "a process": ("distill", "process", *PAIR, "--transforms", "T1", "--output", f"{OUT}/process.json"),
    "a comparison": ("distill", "compare", *PAIR, "--losses", "vanilla", "--seeds", "0", "--output", OUT),
}
WRITING = QUICK | SLOW


def each(commands: dict[str, Any], *faults: str) -> list[Any]:
    """A parameter for each command and fault; training and drawing takes longer."""
    return [
        pytest.param(what, fault, marks=pytest.mark.slow if what in SLOW else (), id=f"{what}, {fault}")
        for what in commands
        for fault in faults
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with results, a store of scores, one of trainings, and labels."""
    folder = tmp_path_factory.mktemp("world")
    small_results(folder / "results")
    record = settings(registry.create("nwot"), benchmark("digits"), None)
    store = ScoreStore(folder / "s.sqlite")
    number = store.setting(fingerprint(record), "digits", "nwot", record)
    run = store.start_run("now", {}, [(number, 0, "all", len(CELLS))])
    store.add(run, [Row(number, 0, cell, float(cell), "ok", "") for cell in CELLS])
    store.close()
    lines = "".join(f"{cell},{50 + at}\n" for at, cell in enumerate(CELLS))
    (folder / "labels.csv").write_text(f"cell,accuracy\n{lines}")
    return folder


@pytest.fixture(autouse=True)
def world(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_resamples: None) -> None:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    (tmp_path / "s.sqlite").chmod(0o444)  # so that nothing is written beside it
    monkeypatch.setattr(digits, "SCENES", {"val": 40, "test": 60})


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every path under a folder, with the content of files; without stores, and what runs keep to go on from."""
    return {
        name: None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if not (name := str(path.relative_to(folder))).startswith("results/store")
    }


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """No file of this process grows larger: what a full disk does, and needs no disk."""
    before, heard = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, heard)


def told_to(words: tuple[object, ...], where: str) -> list[object]:
    return [word.replace(OUT, where) if isinstance(word, str) else word for word in words]


READ = {"a table of trainings": ("trainings", "first"), "unlabelled": ("searches", "results/searches")}
"""By a command that reads what another has written: the other, and where that is told to write."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where results that commands read are kept, once they were made."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def prepared(what: str, command: Command, tmp_path: Path, kept: Path) -> None:
    """What the command reads beside the world."""
    if what in READ and not (kept / what).exists():
        writer, where = READ[what]
        ended = command(*told_to(WRITING[writer], where))
        assert ended.code == 0, ended.err
        shutil.copytree(tmp_path / "results", kept / what)
    elif what in READ:
        shutil.copytree(kept / what, tmp_path / "results", dirs_exist_ok=True)


PLACES = {"a file in the place of a folder": "labels.csv/new", "too long a name": "new/" + "x" * 300}


@pytest.mark.parametrize(("what", "fault"), each(WRITING, *PLACES))
def test_where_nothing_can_be_written(command: Command, tmp_path: Path, prepared: None, what: str, fault: str) -> None:
    before = tree(tmp_path)
    ended = command(*told_to(WRITING[what], PLACES[fault]))
    assert PLACES[fault].partition("/")[0] in ended.error
    assert ended.code == 1
    assert tree(tmp_path) == before


@pytest.mark.parametrize(("what", "size"), each(WRITING, "20"))
def test_where_there_is_no_room(command: Command, tmp_path: Path, prepared: None, what: str, size: str) -> None:
    before = tree(tmp_path)
    with files_of_at_most(int(size)):
        ended = command(*told_to(WRITING[what], "new/deep"))
    assert ended.error
    assert ended.code == 1
    assert tree(tmp_path) == before


@pytest.mark.parametrize(("what", "fault"), each(WRITING, "output full"))
def test_where_the_output_is_full(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: None, what: str, fault: str
) -> None:
    """What was written before it was to be told is whole, and stays."""
    words = told_to(WRITING[what], "new")
    with open("/dev/full", "w") as full:
        monkeypatch.setattr("sys.stdout", full)
        ended = command(*words)
        monkeypatch.undo()
    assert "cannot write the output (No space left on device): free some space there" in ended.error
    assert ended.code == 1
    assert not [path for path in (tmp_path / "new").rglob(".*")]


READING: list[tuple[object, ...]] = [
    ("bench", "list"),
    ("bench", "list", "--json"),
    ("bench", "status", "--store", "s.sqlite"),
    ("bench", "show", 3, "--store", "s.sqlite"),
    ("bench", "show", 3, "--json"),
    ("bench", "diff", "s.sqlite", "nwot", "--store", "s.sqlite"),
    ("analysis", "correlate", "nwot", "--store", "s.sqlite", "--against", "labels.csv", "--json"),
    ("analysis", "reliability", "--tables", "results/accuracies"),
    ("analysis", "class-pairs", "--tables", "results/accuracies"),
    ("diswot_bench", "--help"),
    ("bench", "--help"),
]


@pytest.mark.parametrize("words", READING, ids=lambda words: " ".join(map(str, words[:3])))
def test_a_full_output_is_told(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[object, ...]
) -> None:
    before = tree(tmp_path)
    with open("/dev/full", "w") as full:
        monkeypatch.setattr("sys.stdout", full)
        ended = command(*words)
        monkeypatch.undo()
    assert "cannot write the output (No space left on device): free some space there" in ended.error
    assert ended.code == 1
    assert tree(tmp_path) == before


def test_a_new_proxy_that_cannot_be_written(command: Command, tmp_path: Path) -> None:
    before = tree(tmp_path)
    with files_of_at_most(20):
        ended = command("bench", "new-proxy", "mine")
    assert "cannot write mine.py (File too large)" in ended.error
    ended = command("bench", "new-proxy", "x" * 300)
    assert "choose a shorter name" in ended.error
    assert ended.code == 1
    assert tree(tmp_path) == before


def test_completion_that_cannot_be_installed(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("typer._completion_shared._get_shell_name", lambda: "bash")
    (tmp_path / "home").write_text("no folder")
    before = tree(tmp_path)
    ended = command("diswot_bench", "--install-completion", "bash")
    assert str(tmp_path / "home") in ended.error
    assert ended.code == 1
    assert tree(tmp_path) == before


@pytest.mark.parametrize("page", ["architecture", "proxy-docs"])
def test_a_page_that_cannot_be_written_stays_as_it_was(command: Command, tmp_path: Path, page: str) -> None:
    shutil.rmtree(tmp_path / "results")
    (tmp_path / "results").symlink_to(ROOT / "results")
    for name in ("docs/architecture.md", "docs/proxies.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    before = tree(tmp_path)
    with files_of_at_most(20):
        ended = command("analysis", page)
    assert "File too large" in ended.error
    assert ended.code == 1
    assert tree(tmp_path) == before


def test_trainings_that_could_be_written_are_kept(command: Command, tmp_path: Path) -> None:
    """In the store, for the next try."""
    words = WRITING["trainings"]
    assert command(*told_to(words, "labels.csv/new")).code == 1
    assert AccuracyStore(tmp_path / "results/store/a.sqlite", write=False) is not None
    ended = command(*told_to(words, "new"))
    assert ended.code == 0
    assert "0 of 0 trainings" in ended.err
