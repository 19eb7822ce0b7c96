"""The worker pool: every task comes back exactly once, whoever dies, and nobody outlives the driver."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from common.errors import BadUsage
from common.pool import Died, Job, cores, run


def pid() -> int:
    return os.getpid()


def square(state: int, task: int) -> int:
    return task * task


def with_state(state: int, task: int) -> int:
    time.sleep(0.05)
    return state


def refuse(state: int, task: int) -> int:
    if task == 2:
        raise BadUsage("task 2 means nothing")
    return task


def refuse_setup() -> int:
    raise BadUsage("no such thing to set up")


def die_once(folder: Path, seconds: float, state: int, task: int) -> int:
    """Task 3 kills its worker, the first time."""
    if task == 3 and not (folder / "died").exists():
        time.sleep(seconds)
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def die_always(folder: Path, state: int, task: int) -> int:
    if task == 3:
        with (folder / "tries").open("a") as file:
            file.write("x")
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def squares_of_a_pool() -> None:
    assert dict(run(Job(pid, square), range(8), 2)) == {task: task * task for task in range(8)}


def sleep_long(folder: Path, state: int, task: int) -> int:
    (folder / str(os.getpid())).touch()
    time.sleep(120)
    return task


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_do_not_depend_on_the_number_of_workers(workers: int) -> None:
    found = list(run(Job(pid, square), range(12), workers))
    assert sorted(found) == [(task, task * task) for task in range(12)]


def test_one_worker_is_this_process_and_takes_tasks_in_order() -> None:
    found = list(run(Job(pid, with_state), range(3), 1))
    assert found == [(task, os.getpid()) for task in range(3)]


def test_setup_is_done_in_each_process_of_its_own() -> None:
    states = {state for _, state in run(Job(pid, with_state), range(8), 2)}
    assert 1 <= len(states) <= 2
    assert os.getpid() not in states


def test_no_tasks_start_no_process() -> None:
    assert list(run(Job(refuse_setup, square), [], 2)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_exceptions_of_work_and_setup_are_raised_in_the_driver(workers: int) -> None:
    with pytest.raises(BadUsage, match="task 2 means nothing"):
        list(run(Job(pid, refuse), range(4), workers))
    with pytest.raises(BadUsage, match="no such thing") as caught:
        list(run(Job(refuse_setup, square), range(4), workers))
    assert caught.value.exit_code == 2


def test_a_killed_worker_is_replaced_and_its_task_done_again(tmp_path: Path) -> None:
    found = list(run(Job(pid, partial(die_once, tmp_path, 0.0)), range(9), 2))
    assert (tmp_path / "died").exists()
    assert sorted(found) == [(task, task) for task in range(9)]


@pytest.mark.slow
def test_no_task_is_lost_when_a_worker_dies_while_the_driver_is_busy(tmp_path: Path) -> None:
    found = []
    for number, pair in enumerate(run(Job(pid, partial(die_once, tmp_path, 0.3)), range(9), 2)):
        found.append(pair)
        if number == 0:  # the driver writes rows while the pool breaks
            deadline = time.monotonic() + 600
            while not (tmp_path / "died").exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(1)
    assert (tmp_path / "died").exists()
    assert sorted(found) == [(task, task) for task in range(9)]


def test_a_task_that_always_kills_its_worker_has_died_and_all_others_finish(tmp_path: Path) -> None:
    found = dict(run(Job(pid, partial(die_always, tmp_path)), range(7), 2))
    assert isinstance(found.pop(3), Died)
    assert found == {task: task for task in (0, 1, 2, 4, 5, 6)}
    assert (tmp_path / "tries").read_text() == "xxx", "once among others, then twice alone"


def test_cores_are_those_this_process_may_use() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)


_DRIVER = """
from functools import partial
from pathlib import Path
from common.pool import Job, run
from test_pool import pid, sleep_long

if __name__ == "__main__":
    list(run(Job(pid, partial(sleep_long, Path("busy"))), range(4), 2))
"""


@pytest.mark.slow
def test_workers_do_not_outlive_a_killed_driver(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "busy").mkdir()
    (tmp_path / "driver.py").write_text(_DRIVER)
    path = os.pathsep.join([environment["PYTHONPATH"], str(Path(__file__).parent)])
    driver = subprocess.Popen([sys.executable, "driver.py"], cwd=tmp_path, env=environment | {"PYTHONPATH": path})
    try:
        deadline = time.monotonic() + 600
        while len(list((tmp_path / "busy").iterdir())) < 2:
            assert driver.poll() is None, "the driver ended by itself"
            assert time.monotonic() < deadline, "the workers never started"
            time.sleep(0.05)
        children = psutil.Process(driver.pid).children(recursive=True)
        assert {int(path.name) for path in (tmp_path / "busy").iterdir()} <= {child.pid for child in children}
    finally:
        driver.kill()
        driver.wait()
    _, alive = psutil.wait_procs(children, timeout=600)
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]


def test_a_process_that_is_a_child_itself_ends_after_its_pool() -> None:
    """Of multiprocessing, which stops the threads of the pool before the workers have heard that there is no more."""
    child = multiprocessing.get_context("spawn").Process(target=squares_of_a_pool)
    child.start()
    child.join(60)
    if hung := child.is_alive():
        for process in (*psutil.Process(child.pid).children(recursive=True), child):
            process.kill()
    assert not hung
    assert child.exitcode == 0
