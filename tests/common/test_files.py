"""Files are written whole, several of them all or none; what cannot be written is told in a line and leaves nothing."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import common.files
from common.errors import BadInput
from common.files import together, write_whole

Killed = Callable[[int, str], dict[str, bytes | None]]
Spoil = Callable[[Path, pytest.MonkeyPatch], Path]


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every path under a folder, with the content of files."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def failing(name: str, number: int) -> Spoil:
    """Into a new folder, with a call of the system that fails."""

    def spoil(folder: Path, patch: pytest.MonkeyPatch) -> Path:
        def fail(*given: object) -> None:
            raise OSError(number, os.strerror(number))

        patch.setattr(common.files.os, name, fail)
        return folder / "new" / "deep" / "a.csv"

    return spoil


def under_a_file(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    (folder / "file").write_bytes(b"old")
    return folder / "file" / "deep" / "a.csv"


def over_a_folder(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    (folder / "there").mkdir()
    return folder / "there"


CANNOT: dict[str, tuple[Spoil, str]] = {
    "no space": (failing("fsync", errno.ENOSPC), "No space left on device): free some space there"),
    "no quota": (failing("fsync", errno.EDQUOT), "free some space there"),
    "no space for the name": (failing("replace", errno.ENOSPC), "free some space there"),
    "a file in place of a folder": (under_a_file, "make it writable, or name another place"),
    "a folder in place of a file": (over_a_folder, "that is a folder, choose another name"),
    "a name too long": (
        lambda folder, patch: folder / "new" / ("x" * 300),
        "File name too long): choose a shorter name",
    ),
    "a folder's name too long": (lambda folder, patch: folder / "new" / ("x" * 300) / "a", "choose a shorter name"),
    "read-only": (failing("replace", errno.EROFS), "Read-only file system): make it writable"),
    "not ours": (lambda folder, patch: Path("/proc/new/a.csv"), "cannot write /proc/new/a.csv"),
}


@pytest.mark.parametrize("case", CANNOT)
def test_what_cannot_be_written_costs_a_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    spoil, expected = CANNOT[case]
    path = spoil(tmp_path, monkeypatch)
    before = tree(tmp_path)
    with pytest.raises(BadInput) as error:
        write_whole(path, b"content")
    assert str(error.value).startswith(f"cannot write {path} (")
    assert expected in str(error.value)
    assert tree(tmp_path) == before


def test_a_long_name_that_the_system_takes_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("ä" * 125)
    write_whole(path, b"content")
    assert tree(tmp_path) == {path.name: b"content"}


def test_of_several_files_none_is_written_where_one_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    before = tree(tmp_path)

    def write() -> None:
        with together():
            for path in (tmp_path / "a", tmp_path / "b" / "c", tmp_path / ("x" * 300)):
                write_whole(path, b"new")

    with pytest.raises(BadInput, match="choose a shorter name"):
        write()
    assert tree(tmp_path) == before


def test_none_is_written_where_what_comes_between_fails(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    before = tree(tmp_path)

    def write() -> None:
        with together(tmp_path / "a"):
            for path in (tmp_path / "b" / "c", tmp_path / "a"):
                write_whole(path, b"new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert tree(tmp_path) == before


def test_several_files_take_their_places_in_order_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    replace = os.replace

    def noted(source: Path, target: Path) -> None:
        seen.append(target.name)
        replace(source, target)

    monkeypatch.setattr(common.files.os, "replace", noted)
    with together():
        write_whole(tmp_path / "b", b"1")
        with together():  # as part of the larger whole
            write_whole(tmp_path / "a", b"2")
        assert seen == []
        write_whole(tmp_path / "c", b"3")
    assert seen == ["b", "a", "c"]
    assert tree(tmp_path) == {"a": b"2", "b": b"1", "c": b"3"}


@pytest.fixture
def killed(tmp_path: Path, environment: dict[str, str]) -> Killed:
    """The files after a kill in front of the place number N of a program's writes; temporary ones left out."""

    def run(number: int, program: str) -> dict[str, bytes | None]:
        kill = (
            "import os, signal\nfrom pathlib import Path\nfrom common.files import together, write_whole\n"
            f"left, replace = {number}, os.replace\n"
            "def killing(*paths):\n    global left\n"
            "    if not left: os.kill(os.getpid(), signal.SIGKILL)\n"
            "    left -= 1\n    replace(*paths)\nos.replace = killing\n"
        )
        done = subprocess.run([sys.executable, "-c", kill + program], cwd=tmp_path, env=environment, check=False)
        assert done.returncode == -9
        return {name: content for name, content in tree(tmp_path).items() if not name.startswith(".")}

    return run


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_who_is_killed_in_between_leaves_no_marker(tmp_path: Path, killed: Killed, number: int) -> None:
    for name in ("data", "marker"):
        (tmp_path / name).write_bytes(b"old")
    program = "with together(Path('marker')): [write_whole(Path(name), b'new') for name in ('data', 'marker')]"
    assert killed(number, program) == {"data": b"new" if number else b"old"}
    with together(tmp_path / "marker"):
        for name in ("data", "marker"):
            write_whole(tmp_path / name, b"new")
    assert (tmp_path / "marker").read_bytes() == b"new"


@pytest.mark.slow
def test_a_kill_in_front_of_the_last_file_leaves_it_as_it_was(tmp_path: Path, killed: Killed) -> None:
    (tmp_path / "rows").write_bytes(b"old")
    program = "with together(): [write_whole(Path(name), b'new') for name in ('about', 'rows')]"
    assert killed(1, program) == {"about": b"new", "rows": b"old"}
