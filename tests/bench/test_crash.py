"""Kill it, run it again: the scores are those of a run that nothing disturbed, to the last bit."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import forked
import psutil
import pytest
from conftest import Fork

from bench.benchmarks import benchmark
from bench.runner import Request, execute
from bench.store import ScoreStore, StoredRow
from proxies.registry import create

pytestmark = pytest.mark.slow

LIMIT = 160
PROXIES = ("diswot", "nwot")
WORDS = ["run", ",".join(PROXIES), "--limit", str(LIMIT), "--workers", "2", "--store", "s.sqlite"]

Scores = dict[str, list[StoredRow]]


def scores(store: ScoreStore) -> Scores:
    return {name: entry.rows for name in PROXIES for entry in store.scores("digits", create(name))}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Scores:
    store = ScoreStore(tmp_path_factory.mktemp("undisturbed") / "s.sqlite")
    execute(Request(benchmark("digits"), tuple(map(create, PROXIES)), (0,), limit=LIMIT, workers=1), store)
    found = scores(store)
    store.close()
    assert [len(rows) for rows in found.values()] == [LIMIT, LIMIT]
    return found


def count(path: Path) -> int:
    """Rows on disk, read as a bystander does."""
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path, timeout=600)) as database:
        try:
            return int(database.execute("SELECT COUNT(*) FROM score").fetchone()[0])
        except sqlite3.OperationalError:  # not made yet
            return 0


def wait_for_rows(driver: forked.Forked, path: Path, more_than: int) -> list[psutil.Process]:
    """The driver's children, as soon as more rows than that are on disk."""
    deadline = time.monotonic() + 600
    while count(path) <= more_than:
        assert driver.process.is_alive(), f"ended too early: {driver.end()}"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return psutil.Process(driver.process.pid).children(recursive=True)


def assert_gone(children: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(children, timeout=600)
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE], "workers outlive the driver"


def test_a_run_killed_then_interrupted_then_robbed_of_a_worker_ends_with_the_scores_of_an_undisturbed_one(
    tmp_path: Path, fork: Fork, undisturbed: Scores
) -> None:
    path = tmp_path / "s.sqlite"

    driver = fork(forked.session, "-m", "bench", *WORDS)
    children = wait_for_rows(driver, path, 0)
    driver.process.kill()
    driver.end()
    assert_gone(children)
    after_kill = count(path)
    assert 0 < after_kill < 2 * LIMIT

    driver = fork(forked.session, "-m", "bench", *WORDS)
    children = wait_for_rows(driver, path, after_kill + 30)
    os.killpg(driver.process.pid, signal.SIGINT)
    code, _, err = driver.end()
    assert code == 130, err
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("stopped; what was finished is kept")
    assert_gone(children)
    after_interrupt = count(path)
    assert after_kill + 30 < after_interrupt < 2 * LIMIT

    driver = fork(forked.session, "-m", "bench", *WORDS)
    children = wait_for_rows(driver, path, after_interrupt)
    workers = [one for child in psutil.Process(driver.process.pid).children() for one in child.children()]
    assert len(workers) == 2
    workers[0].kill()
    code, out, err = driver.end()
    assert code == 3, err  # of some cells nwot is not finite
    assert f"of {2 * LIMIT} scores" in out

    store = ScoreStore(path, write=False)
    store.check()
    assert scores(store) == undisturbed
    store.close()
