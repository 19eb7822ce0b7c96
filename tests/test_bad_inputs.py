"""Bad input of every kind, through the command lines: one line, exit code 1 or 2, nothing printed, nothing written."""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

Command = Callable[..., Any]

FILES: dict[str, bytes | None] = {
    "nothing": b"",
    "zeros": bytes(200),
    "breaks": b"\n\n\r\n",
    "not text": b"\x89PNG\xff\xfe\x00",
    "other text": "cell,accuracy\n3,é\n".encode("utf-16"),
    "a mark alone": codecs.BOM_UTF8,
    "deep": b"[" * 5000,
    "a page": b"<html><body>404</body></html>",
    "a pipe": None,
}
"""What may stand in a file that a command is given; a pipe has nobody at its other end."""

READERS: dict[str, tuple[str, ...]] = {
    "labels": ("analysis", "correlate", "params", "--against", "FILE"),
    "csv": ("analysis", "import", "csv", "FILE", "--dataset", "cifar10"),
    "json": ("analysis", "import", "diswot-json", "FILE", "--dataset", "cifar10"),
    "depths": ("analysis", "import", "resnet-depths", "FILE", "--dataset", "cifar10"),
    "nas-bench-201": ("analysis", "import", "nas-bench-201", "FILE", "--dataset", "cifar10"),
    "a store": ("bench", "status", "--store", "FILE"),
    "another store": ("bench", "merge", "FILE", "--store", "new.sqlite"),
    "cells": ("bench", "run", "params", "--cells", "FILE"),
    "cells to train": ("distill", "run", "--cells", "FILE"),
    "trainings": ("distill", "status", "--store", "FILE"),
    "a record": ("analysis", "student", "FILE"),
    "a module": ("bench", "run", "params", "--module", "FILE"),
    "data": ("bench", "run", "nwot", "--benchmark", "cifar10", "--data", "FILE"),
}
"""A command for each kind of file that a user names."""

SLOW = "trainings"
GIVEN = [
    pytest.param(reader, what, id=f"{reader}, {what}", marks=pytest.mark.slow if reader == SLOW else ())
    for reader in READERS
    for what in FILES
]


@pytest.mark.parametrize(("reader", "what"), GIVEN)
def test_bad_input_is_one_line(command: Command, tmp_path: Path, reader: str, what: str) -> None:
    name = "given.py" if reader == "a module" else "given"
    content = FILES[what]
    if content is None:
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).write_bytes(content)
    ended = command(*(word.replace("FILE", name) for word in READERS[reader]))
    assert ended.error
    assert ended.code in (1, 2)
    assert ended.out == ""
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith("__pycache__")] == [name]


WORDS: list[tuple[object, ...]] = [
    ("bench", "run", "params", "--store", "/dev/null", "--limit", 1),
    ("bench", "run", "params", "--store", "/dev/zero"),
    ("bench", "run", "params", "--cells", "/dev/zero"),
    ("bench", "run", "params", "--cells", "/"),
    ("bench", "run", "params", "--seeds", "0-999999999"),
    ("bench", "run", "params", "--seeds", "١"),
    ("bench", "run", "params:"),
    ("bench", "run", "params:=1"),
    ("bench", "run", "nwot:init"),
    ("bench", "run", "../../x"),
    ("bench", "run", "nwot\x1b[2J"),
    ("bench", "run", "x" * 5000),
    ("bench", "run", "nwot", "--teacher", "random:-1"),
    ("bench", "run", "nwot", "--teacher", "nowhere.py:made"),
    ("bench", "run", "nwot", "--benchmark", "folder:"),
    ("bench", "run", "nwot", "--executor", "slurm"),
    ("bench", "show", "²"),
    ("bench", "show", "9" * 400),
    ("bench", "show", "|" * 400),
    ("bench", "show", "3", "--space", "nb202"),
    ("bench", "diff", "none.sqlite", "params"),
    ("bench", "merge", "none.sqlite"),
    ("bench", "merge", "/dev/null"),
    ("bench", "new-proxy", "../../x"),
    ("bench", "new-proxy", "X"),
    ("bench", "new-proxy", "nwot"),
    ("bench", "cost", "params", "--sample", 0),
    ("analysis", "correlate", "params", "--against", "/dev/zero"),
    ("analysis", "correlate", "params", "--against", "/"),
    ("analysis", "correlate", "nwot", "--store", "/dev/zero", "--against", "/dev/null"),
    ("analysis", "import", "cvs", "x", "--dataset", "cifar10"),
    ("analysis", "import", "csv", "/dev/zero", "--dataset", "cifar10"),
    ("analysis", "import", "csv", "x", "--dataset", "cifar11"),
    ("analysis", "import", "csv", "x", "--dataset", "cifar10", "--name", "../../x"),
    ("analysis", "import", "nats-bench", "/", "--dataset", "cifar10"),
    ("analysis", "reliability", "--benchmark", "../../x"),
    ("analysis", "searches", "--against", "nowhere.csv"),
    ("analysis", "student", "/dev/zero"),
    ("analysis", "report", "--results", "nowhere"),
    ("distill", "run", "--benchmark", "digits:epochs=x"),
    ("distill", "run", "--cells", "/dev/zero"),
    ("distill", "run", "--seeds", "0,,1"),
    ("distill", "teacher", "../../x"),
    ("distill", "compare", "--student", "99999"),
    ("distill", "compare", "--losses", "kdd"),
    ("search", "search", "evolve:population=x", "--proxy", "params"),
    ("search", "search", "random", "--proxy", "parms"),
    ("search", "search", "random", "--proxy", "params", "--max-params", "50q"),
]


@pytest.mark.parametrize("words", WORDS, ids=[f"{number}-{words[1]}" for number, words in enumerate(WORDS)])
def test_a_bad_word_is_one_line(command: Command, tmp_path: Path, words: tuple[object, ...]) -> None:
    ended = command(*words)
    assert ended.error
    assert ended.error.isprintable()
    assert ended.code in (1, 2)
    assert ended.out == ""
    assert list(tmp_path.iterdir()) == []
