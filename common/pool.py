"""Tasks over processes on one machine, supervised: a worker that dies or does not answer is replaced."""

from __future__ import annotations

import math
import os
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import Any, Generic, TypeVar

from common import crew
from common.crew import Worker
from common.errors import BadInput

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Died:
    """The outcome of a task whose worker was killed while others were at work, and again while it alone was."""

    reason: str = "the worker process died twice on this task (killed, or out of memory)"


@dataclass(frozen=True)
class TimedOut(Died):
    """The outcome of a task whose worker gave no sign of life for as long as it may take, and was killed."""


SUSPECTS = 4
"""Tasks whose workers have died, after which no others are begun until these are settled: all may be of one kind."""


@dataclass(frozen=True)
class Job(Generic[Task, Result]):
    """A `Job` is what a process does: `setup()` once, then `work(state, task)` for each task. Both must pickle."""

    setup: Callable[[], Any]
    work: Callable[[Any, Task], Result]


def cores() -> int:
    """Count the cores that this process may use: those it is bound to, and no more than a container's quota is of."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(bound, quota() or bound)


def quota(root: Path = Path("/")) -> int | None:
    """The cores that the strictest quota on this process is of, a part of one counted whole; None without a quota.

    Of cgroup v2 (`cpu.max`) or v1 (`cpu.cfs_quota_us`), in the process's own group and all around it. `root` is where
    the file systems `proc` and `sys` are looked for.
    """
    found = [share for folder in _groups(root) for share in (_of_v2(folder), _of_v1(folder)) if share]
    return max(1, math.ceil(min(found))) if found else None


def _groups(root: Path) -> Iterator[Path]:
    """The folders of the control groups that hold this process, as far as a container shows them."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        for home in (controllers, "cpu", "") if controllers else ("", "unified"):
            top = root / "sys/fs/cgroup" / home
            inside = top / path.strip("/")  # a container may show its own group as the top, whatever it is called
            yield from (folder for folder in (inside, *inside.parents) if folder == top or top in folder.parents)


def _of_v2(folder: Path) -> float | None:
    with suppress(OSError, ValueError):
        most, period = (folder / "cpu.max").read_text().split()
        return None if most == "max" else int(most) / int(period)
    return None


def _of_v1(folder: Path) -> float | None:
    with suppress(OSError, ValueError, ZeroDivisionError):
        most = int((folder / "cpu.cfs_quota_us").read_text())
        return None if most <= 0 else most / int((folder / "cpu.cfs_period_us").read_text())
    return None


def run(
    job: Job[Task, Result], tasks: Iterable[Task], workers: int, limit: float | None = None
) -> Iterator[tuple[Task, Result | Died]]:
    """Yield each task with its result, in order of completion; to `tasks`, where it is a deque, more may be added
    meanwhile.

    With one worker and no limit everything happens in this process. `limit` is how many seconds may pass until `work`
    returns or calls `alive`: then the worker is killed and the task has `TimedOut`. An exception raised by `setup` or
    `work` is raised here; other tasks in flight are then abandoned. Raises BadInput where workers cannot even start.
    """
    queue = tasks if isinstance(tasks, deque) else deque(tasks)
    if workers == 1 and limit is None:
        state = job.setup()
        while queue:
            task = queue.popleft()
            yield task, job.work(state, task)
        return
    crew.prepare(getattr(job.work, "func", job.work).__module__)  # of a partial function, what it calls
    while queue:
        suspects: deque[Task] = deque()
        yield from _drained(job, queue, workers, limit, suspects)
        # each may have killed its worker, or have been killed for others' sake: alone it shows which
        for task in suspects:
            guilty: deque[Task] = deque()
            yield from _drained(job, deque([task]), 1, limit, guilty)
            if guilty:
                yield task, Died()


class _Starts:
    """How many workers in a row have ended, or not answered, before they were set up."""

    MOST = 2

    def __init__(self) -> None:
        self.failed = 0

    def fail(self, worker: Worker) -> None:
        """Count one more. Raises BadInput where it is no accident."""
        self.failed += 1
        if self.failed == self.MOST:
            raise BadInput(
                f"worker processes end while they start ({worker.ending()}): what they printed stands above; try again "
                "with one worker, or with more memory"
            )


def _drained(
    job: Job[Task, Result], tasks: deque[Task], workers: int, limit: float | None, suspects: deque[Task]
) -> Iterator[tuple[Task, Result | Died]]:
    """The results of tasks, but of those whose worker died, which become `suspects`; of all, unless these are many."""
    staff: list[Worker] = []
    starts, described = _Starts(), pickle.dumps(job) if tasks else b""
    try:
        while (tasks and len(suspects) < SUSPECTS) or any(worker.tasks for worker in staff):
            _employ(staff, tasks if len(suspects) < SUSPECTS else deque(), workers, lambda: Worker(described, limit))
            left = [seconds for worker in staff if (seconds := worker.left()) is not None]
            connection.wait([sign for worker in staff for sign in worker.signs], min(left, default=None))
            for worker in tuple(staff):
                for result in worker.results():
                    starts.failed = 0
                    yield result
                if not worker.lost and not worker.is_late():
                    continue
                staff.remove(worker)
                worker.kill()
                if not worker.ready:
                    starts.fail(worker)
                elif worker.lost and worker.tasks:
                    suspects.append(worker.tasks.popleft())
                elif worker.tasks:
                    yield worker.tasks.popleft(), TimedOut(f"no answer within {limit:g} seconds")
                tasks.extendleft(reversed(worker.tasks))
        for worker in staff:
            worker.dismiss()
    finally:
        for worker in staff:
            worker.kill()


def _employ(staff: list[Worker], tasks: deque[Task], workers: int, start: Callable[[], Worker]) -> None:
    """Give everybody something to do, first to those who have nothing."""
    busy = sum(bool(worker.tasks) for worker in staff)
    while len(staff) < min(workers, busy + len(tasks)):
        staff.append(start())
    for ahead in (1, 2):
        for worker in staff:
            if tasks and len(worker.tasks) < ahead and (ahead == 1 or worker.quick):
                worker.give(tasks.popleft())
