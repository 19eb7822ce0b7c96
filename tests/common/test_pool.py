"""The worker pool: every task comes back exactly once, whoever dies, and nobody outlives the driver."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path

import psutil
import pytest

from common.crew import FORKED, alive
from common.errors import BadInput, BadUsage
from common.pool import SUSPECTS, Died, Job, TimedOut, cores, run

pytestmark = pytest.mark.slow


def pid() -> int:
    return os.getpid()


def square(state: int, task: int) -> int:
    return task * task


def with_state(state: int, task: int) -> int:
    time.sleep(0.05)
    return state


def orphaned(state: int, task: int) -> str:
    """What is printed when a process learns that its driver is gone before it knew what to do, and of a real fault."""
    said = io.StringIO()
    with redirect_stderr(said):
        sys.excepthook(EOFError, EOFError("Ran out of input"), None)
        sys.excepthook(ValueError, ValueError("a fault"), None)
    return said.getvalue()


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


def test_no_task_is_lost_when_a_worker_dies_while_the_driver_is_busy(tmp_path: Path) -> None:
    found = []
    for number, pair in enumerate(run(Job(pid, partial(die_once, tmp_path, 0.3)), range(9), 2)):
        found.append(pair)
        if number == 2:  # the driver writes rows while task 3 kills its worker
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
    assert (tmp_path / "tries").read_text() == "xx", "once among others, then alone"


def die_and_count(folder: Path, state: int, task: int) -> int:
    with (folder / "tries").open("a") as file:
        file.write("x")
    if task < 100:
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def test_where_every_task_kills_its_worker_that_is_known_after_a_few(tmp_path: Path) -> None:
    coming = run(Job(pid, partial(die_and_count, tmp_path)), range(50), 2)
    first = [next(coming) for _ in range(SUSPECTS)]
    coming.close()  # type: ignore[attr-defined]
    assert all(isinstance(result, Died) for _, result in first)
    assert len((tmp_path / "tries").read_text()) <= 2 * SUSPECTS + 2, "two more may have been at work"


@pytest.mark.parametrize("workers", [1, 2])
def test_tasks_are_added_while_others_are_done(workers: int, tmp_path: Path) -> None:
    tasks, found = deque([100, 5, 101]), []
    for task, result in run(Job(pid, partial(die_and_count, tmp_path)), tasks, workers, 600):
        found.append((task, isinstance(result, Died)))
        if task in (5, 101):
            tasks.appendleft(task + 200)
    assert sorted(found) == [(5, True), (100, False), (101, False), (205, False), (301, False)]


def sleep_on_two(folder: Path, state: int, task: int) -> int:
    """Task 2 does not come back; the others say now and then that they are alive."""
    (folder / f"{os.getpid()}").touch()
    for _ in range(3):
        time.sleep(120 if task == 2 else 0.2)
        alive()
    return task


def stop_once(folder: Path, state: int, task: int) -> int:
    """Task 1 stops its worker, the first time, as a debugger or a person would."""
    if task == 1 and not (folder / "stopped").exists():
        (folder / "stopped").touch()
        os.kill(os.getpid(), signal.SIGSTOP)
    return task


def end_early() -> int:
    os._exit(3)


def leave(state: int, task: int) -> int:
    sys.exit(0)


@pytest.mark.usefixtures("forked_pool")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_that_does_not_come_back_has_timed_out_and_all_others_finish(tmp_path: Path, workers: int) -> None:
    found = dict(run(Job(pid, partial(sleep_on_two, tmp_path)), range(4), workers, limit=0.5))
    assert found.pop(2) == TimedOut("no answer within 0.5 seconds")
    assert found == {0: 0, 1: 1, 3: 3}, "0.6 seconds are no silence where a task says that it is alive"
    assert not [path for path in tmp_path.iterdir() if psutil.pid_exists(int(path.name))]


@pytest.mark.usefixtures("forked_pool")
def test_a_worker_that_was_stopped_is_replaced(tmp_path: Path) -> None:
    found = dict(run(Job(pid, partial(stop_once, tmp_path)), range(4), 2, limit=0.5))
    assert isinstance(found.pop(1), TimedOut)
    assert found == {0: 0, 2: 2, 3: 3}


@pytest.mark.usefixtures("forked_pool")
def test_workers_that_end_while_they_start_charge_no_task() -> None:
    with pytest.raises(BadInput, match=r"worker processes end while they start \(exit code 3\)"):
        list(run(Job(end_early, square), range(50), 2))


@pytest.mark.usefixtures("forked_pool")
def test_work_that_ends_the_process_politely_does_not_end_the_driver() -> None:
    with pytest.raises(RuntimeError, match="SystemExit: 0"):
        list(run(Job(pid, leave), range(4), 2))


@pytest.mark.skipif(not FORKED, reason="workers are spawned here")
def test_a_worker_to_be_whose_driver_is_killed_says_nothing() -> None:
    (said,) = dict(run(Job(pid, orphaned), [0], 2)).values()
    assert said == "ValueError: a fault\n"


@pytest.mark.usefixtures("forked_pool")
def test_whoever_loses_interest_leaves_no_process_behind(tmp_path: Path) -> None:
    results = run(Job(pid, partial(sleep_on_two, tmp_path)), range(4), 2, limit=60)
    task, result = next(results)
    assert task == result != 2, "whichever of the others is done first"
    results.close()  # type: ignore[attr-defined]
    end = time.monotonic() + 600
    while left := [path.name for path in tmp_path.iterdir() if psutil.pid_exists(int(path.name))]:
        assert time.monotonic() < end, left
        time.sleep(0.05)


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
    child.join(600)
    if hung := child.is_alive():
        for process in (*psutil.Process(child.pid).children(recursive=True), child):
            process.kill()
    assert not hung
    assert child.exitcode == 0


@pytest.mark.skipif(not FORKED, reason="workers are forked on Linux alone")
def test_what_workers_are_forked_from_is_deaf_to_ctrl_c_from_its_start() -> None:
    """Without a resource tracker before, Python starts one there, which unblocks the signal."""
    script = """
from multiprocessing import forkserver
from pathlib import Path
from common.crew import prepare
prepare("time")
print(Path(f"/proc/{forkserver._forkserver._forkserver_pid}/status").read_text())
"""
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    (blocked,) = (line.split()[1] for line in found.stdout.splitlines() if line.startswith("SigBlk:"))
    assert int(blocked, 16) >> (signal.SIGINT - 1) & 1
