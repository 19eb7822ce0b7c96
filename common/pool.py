"""Tasks over processes on one machine, supervised: a worker that dies is replaced and its tasks are done again."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any, Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

_state: Any = None


@dataclass(frozen=True)
class Died:
    """The outcome of a task whose worker was killed twice while it alone was being worked on."""

    reason: str = "the worker process died twice on this task (killed, or out of memory)"


@dataclass(frozen=True)
class Job(Generic[Task, Result]):
    """A `Job` is what a process does: `setup()` once, then `work(state, task)` for each task. Both must pickle."""

    setup: Callable[[], Any]
    work: Callable[[Any, Task], Result]


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(job: Job[Task, Result], tasks: Iterable[Task], workers: int) -> Iterator[tuple[Task, Result | Died]]:
    """Yield each task with its result, in order of completion. With one worker everything happens in this process.

    An exception raised by `setup` or `work` is raised here; other tasks in flight are then abandoned.
    """
    if workers == 1:
        state = job.setup()
        for task in tasks:
            yield task, job.work(state, task)
        return
    queue = deque(tasks)
    while queue:
        suspects = deque((yield from _run_until_death(job, queue, workers, ahead=2)))
        # one of them killed its worker: one at a time, each shows whether it was the one
        while suspects:
            for task in (yield from _run_until_death(job, suspects, 1, ahead=1)):
                if (yield from _run_until_death(job, deque([task]), 1, ahead=1)):
                    yield task, Died()


def _run_until_death(
    job: Job[Task, Result], queue: deque[Task], workers: int, ahead: int
) -> Generator[tuple[Task, Result], None, list[Task]]:
    """Results until the queue is empty or a worker dies; returns the tasks that were in flight then.

    In flight are at most `ahead` tasks a worker; the others stay in the queue.
    """
    in_flight: dict[Future[Result], Task] = {}
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_start)
    try:
        while queue or in_flight:
            while queue and len(in_flight) < ahead * workers:
                # it leaves the queue afterwards: submit raises where the pool broke while the driver was busy
                with without_main():
                    in_flight[pool.submit(_work, job, queue[0])] = queue[0]
                queue.popleft()
            done, _ = wait(in_flight, return_when=FIRST_COMPLETED)
            for future in done:
                result = future.result()
                yield in_flight.pop(future), result
        # waited for: the end of a process that is a child of multiprocessing itself would cut the pool's farewell short
        pool.shutdown()
    except BrokenProcessPool:
        return list(in_flight.values())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return []


@contextmanager
def without_main() -> Iterator[None]:
    """Processes that are spawned meanwhile do not run the main module again.

    What they do is never defined there. A script that starts a run without `if __name__ == "__main__"` would start it
    once more in every process, and one read from standard input could not be found.
    """
    main = sys.modules["__main__"]
    names = ("__spec__", "__file__")
    before = {name: getattr(main, name) for name in names if hasattr(main, name)}
    try:
        for name in before:
            setattr(main, name, None)
        yield
    finally:
        for name, value in before.items():
            setattr(main, name, value)


def _start() -> None:
    """Prepare a worker: the driver alone answers Ctrl-C, and no worker outlives it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _work(job: Job[Task, Result], task: Task) -> Result:
    global _state
    if _state is None:
        _state = job.setup()
    return job.work(_state, task)
