"""Kill it, run it again: the scores are those of a run that nothing disturbed, to the last bit."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from bench.benchmarks import benchmark
from bench.runner import Request, execute
from bench.store import ScoreStore, StoredRow
from proxies.registry import create

LIMIT = 400
PROXIES = ("diswot", "nwot")
WORDS = ["run", ",".join(PROXIES), "--limit", str(LIMIT), "--workers", "2", "--store", "s.sqlite"]

Scores = dict[str, list[StoredRow]]


def scores(store: ScoreStore) -> Scores:
    return {name: entry.rows for name in PROXIES for entry in store.scores("digits", create(name))}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Scores:
    store = ScoreStore(tmp_path_factory.mktemp("undisturbed") / "s.sqlite")
    execute(Request(benchmark("digits"), PROXIES, (0,), limit=LIMIT, workers=1), store)
    found = scores(store)
    store.close()
    assert [len(rows) for rows in found.values()] == [LIMIT, LIMIT]
    return found


def count(path: Path) -> int:
    """Rows on disk, read as a bystander does."""
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path, timeout=10)) as database:
        try:
            return int(database.execute("SELECT COUNT(*) FROM score").fetchone()[0])
        except sqlite3.OperationalError:  # not made yet
            return 0


@pytest.fixture
def start(tmp_path: Path, environment: dict[str, str]) -> Callable[[], subprocess.Popen[str]]:
    def run() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "bench", *WORDS],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that Ctrl-C reaches driver and workers, as from a terminal, and not the tests
        )

    return run


def wait_for_rows(driver: subprocess.Popen[str], path: Path, more_than: int) -> int:
    """Rows on disk, as soon as there are more than that."""
    deadline = time.monotonic() + 90
    while (found := count(path)) <= more_than:
        assert driver.poll() is None, f"ended before it could be killed: {driver.communicate()}"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def assert_as_undisturbed(path: Path, undisturbed: Scores) -> None:
    store = ScoreStore(path, create=False)
    store.check()
    assert scores(store) == undisturbed
    store.close()


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_scores(
    tmp_path: Path, start: Callable[[], subprocess.Popen[str]], undisturbed: Scores
) -> None:
    path = tmp_path / "s.sqlite"
    there = 0
    for more, sent in ((0, signal.SIGKILL), (150, signal.SIGINT), (100, signal.SIGKILL)):
        driver = start()
        there = wait_for_rows(driver, path, there + more)
        workers = psutil.Process(driver.pid).children(recursive=True)
        assert workers
        if sent == signal.SIGINT:
            os.killpg(driver.pid, sent)
        else:
            driver.kill()
        _, err = driver.communicate(timeout=60)
        if sent == signal.SIGINT:
            assert driver.returncode == 130
            assert "Traceback" not in err
            assert err.splitlines()[-1].startswith("stopped; what was finished is kept")
        _, alive = psutil.wait_procs(workers, timeout=10)
        assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE], "workers outlive the driver"
        assert there <= count(path) < 2 * LIMIT, "rows that were there are gone, or nothing was left to do"
        there = count(path)
    driver = start()
    out, err = driver.communicate(timeout=120)
    assert driver.returncode == 3, err  # of some cells nwot is not finite
    assert f"of {2 * LIMIT} scores" in out
    assert_as_undisturbed(path, undisturbed)


def test_a_run_that_loses_a_worker_ends_with_all_scores(
    tmp_path: Path, start: Callable[[], subprocess.Popen[str]], undisturbed: Scores
) -> None:
    path = tmp_path / "s.sqlite"
    driver = start()
    wait_for_rows(driver, path, 0)
    children = psutil.Process(driver.pid).children()
    workers = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    assert len(workers) == 2
    workers[0].kill()
    out, err = driver.communicate(timeout=120)
    assert driver.returncode == 3, err
    assert f"of {2 * LIMIT} scores" in out
    assert_as_undisturbed(path, undisturbed)
