"""A pass that does not come back is a row like any other failure, and nobody waits for it in vain."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import forked
import psutil
import pytest
from conftest import Command, Fork

from bench.benchmarks import benchmark
from bench.runner import Request, execute
from bench.store import ScoreStore

FILE = """
import time
from dataclasses import dataclass
from pathlib import Path
from proxies.base import Proxy, Reference

@dataclass(frozen=True)
class Mine(Proxy):
    name = "mine"
    family = "test"
    needs = ()
    sees = "cell"
    reference = Reference("A title", 2024, "", "")

    def score(self, student, teacher):
        if student.cell.index != 7:
            return 1.5
        Path("asleep").touch()
        while True:
            try:
                time.sleep(1000)
            except BaseException:
                pass
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # where it says that it is asleep
    (tmp_path / "cells.txt").write_text("5\n6\n7\n8\n")
    (tmp_path / "mine.py").write_text(FILE)
    return tmp_path / "mine.py"


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.usefixtures("forked_pool")
def test_only_the_proxy_that_hangs_has_no_score(workers: int, mine: Path, tmp_path: Path) -> None:
    store = ScoreStore(tmp_path / "s.sqlite")
    request = Request(
        benchmark("digits"),
        ("params", "mine", "layers"),
        (0,),
        str(tmp_path / "cells.txt"),
        workers=workers,
        files=(mine,),
        timeout=1,
    )
    summary = execute(request, store)
    assert (summary.passes, summary.ok, summary.failed) == (4, 11, 1)
    rows = {
        row.cell: (row.status, row.reason) for entry in store.scores("digits", request.proxies[1]) for row in entry.rows
    }
    assert rows.pop(7) == ("timeout", "no answer within 1 seconds")
    assert set(rows.values()) == {("ok", "")}
    store.close()


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf"])
def test_a_limit_that_is_none_is_refused(seconds: str, command: Command) -> None:
    ended = command("bench", "run", "params", "--limit", 1, "--timeout", seconds)
    assert ended.code == 2
    assert "--timeout" in ended.error


def test_a_cluster_has_no_limit(command: Command) -> None:
    ended = command("bench", "run", "params", "--limit", 1, "--timeout", 5, "--executor", "ray")
    assert ended.code == 2
    assert "--timeout" in ended.error


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_one_signal_ends_a_run_that_hangs_and_leaves_nobody(
    number: signal.Signals, code: int, workers: str, mine: Path, tmp_path: Path, fork: Fork
) -> None:
    words = ["run", "mine", "--module", "mine.py", "--cells", "cells.txt", "--workers", workers, "--store", "s.sqlite"]
    driver = fork(forked.session, "-m", "bench", *words)
    deadline = time.monotonic() + 600
    while not (tmp_path / "asleep").exists():
        assert driver.process.is_alive(), driver.end()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert driver.process.pid is not None
    children = psutil.Process(driver.process.pid).children(recursive=True)
    assert children
    # as a terminal does
    (os.killpg if number == signal.SIGINT else os.kill)(driver.process.pid, number)
    ended, _, err = driver.end()
    assert ended == code, err
    assert err.splitlines()[-1].startswith("stopped; what was finished is kept")
    assert "Traceback" not in err
    _, left = psutil.wait_procs(children, timeout=600)
    assert not [child for child in left if child.status() != psutil.STATUS_ZOMBIE]


def hung(package: str, *words: str) -> None:
    """A command that works in this process, with a proxy of the tree that does not come back from its third cell."""
    import common.cli
    from common import progress
    from proxies.params import Params

    progress.PATIENCE, real, left = 1.0, Params.score, 4  # of the first two each is asked twice

    def score(self: Params, student: object, teacher: object) -> float:
        nonlocal left
        left -= 1
        while left < 0:
            with suppress(BaseException):
                time.sleep(1000)
        return real(self, student, teacher)  # type: ignore[arg-type]

    Params.score = score  # type: ignore[method-assign, assignment]
    sys.argv = [package, *words]
    common.cli.run(import_module(f"{package}.cli").app)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("bench", "run", "params", "--limit", "5", "--workers", "1", "--store", "s.sqlite"),
        ("search", "search", "random", "--proxy", "params", "--runs", "1", "--store", "s.sqlite"),
    ],
    ids=["run", "search"],
)
def test_where_the_pass_is_in_the_commands_own_process_it_ends(
    words: tuple[str, ...], fork: Fork, tmp_path: Path
) -> None:
    code, _, err = fork(hung, *words).end()
    assert code == 1
    assert "Traceback" not in err
    assert re.fullmatch(
        r"error: params of \|.* has not come back within 1 seconds: what was finished is kept; .*--timeout.*",
        err.splitlines()[-1],
    )
    if words[0] == "search":  # there a row is on disk before the next cell is scored
        ((_, ok),) = {(entry["proxy"], entry["ok"]) for entry in ScoreStore(tmp_path / "s.sqlite").overview()}
        assert ok >= 2
