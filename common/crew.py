"""A process of the pool: as its driver sees it, and what it does itself."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection, forkserver, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import one_line

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext
    from types import TracebackType

START = 600.0
"""Seconds that a worker may take to start and to be set up, beside the limit of a task."""
QUICK = 1.0
"""A worker whose task took fewer seconds has the next one ready, so that it need not wait for the driver."""
FAREWELL = 10.0
"""Seconds that a worker has to end by itself when all is done."""
FORKED = sys.platform == "linux"
"""Whether workers are forked, from a process that has imported what they need: not where that is unsafe."""
_END = b""
_driver: Connection | None = None
"""Of a worker, the way to its driver."""


def alive() -> None:
    """Say, in a worker, that a part of the task is done: its time starts anew."""
    if _driver is not None:
        _driver.send_bytes(pickle.dumps(("alive", None)))


def is_worker() -> bool:
    """Whether this process is one of a pool."""
    return _driver is not None


def prepare(*modules: str) -> None:
    """Start what workers are forked from, which imports these modules meanwhile; once, before there is any worker."""
    if FORKED:
        _context().set_forkserver_preload([*modules, __name__])
        resource_tracker.ensure_running()  # else it is started below, and then lets Ctrl-C in again
        with without_main(), _no_interrupt(), _own_modules():
            forkserver.ensure_running()


def _context() -> ForkServerContext | SpawnContext:
    return multiprocessing.get_context("forkserver") if FORKED else multiprocessing.get_context("spawn")


class Worker:
    """A process that was started for a job, as its driver sees it."""

    def __init__(self, job: bytes, limit: float | None) -> None:
        """`limit` is how many seconds it may be silent at work."""
        self.ready = False
        """Whether it was set up."""
        self.lost = False
        """Whether it has ended."""
        self.quick = False
        self.tasks: deque[Any] = deque()
        """What it works on, and what it has beside."""
        self._limit = limit
        self._heard = self._begun = time.monotonic()
        self._dismissed = False
        context = _context()
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, dict(os.environ)))
        with without_main(), _no_interrupt(), _own_modules():
            self._process.start()
        theirs.close()
        self.signs: list[Connection | int] = [self._connection, self._process.sentinel]
        self._send(job)

    def _send(self, data: bytes) -> None:
        with suppress(OSError):  # its end is met when results are asked for
            self._connection.send_bytes(data)

    def give(self, task: Any) -> None:
        """Hand over a task."""
        if not self.tasks and self.ready:
            self._heard = self._begun = time.monotonic()
        self.tasks.append(task)
        self._send(pickle.dumps(task))

    def left(self) -> float | None:
        """Seconds until it has to have said something; None where it need not."""
        if self._limit is None or (self.ready and not self.tasks):
            return None
        return max(0.0, self._heard + self._limit + (0 if self.ready else START) - time.monotonic())

    def is_late(self) -> bool:
        """Whether it should have said something by now."""
        return self.left() == 0.0

    def results(self) -> Iterator[tuple[Any, Any]]:
        """What it has done since it was asked last. Raises what its work raised."""
        ended = bool(connection.wait([self._process.sentinel], 0))  # asked first: what it said before is read below
        try:
            while self._connection.poll():
                kind, value = pickle.loads(self._connection.recv_bytes())
                self._heard = time.monotonic()
                if kind == "raised":
                    error, trace = value
                    raise error from RuntimeError(f"in a worker process:\n{trace}")
                self.ready = True
                if kind == "done":
                    self.quick, self._begun = self._heard - self._begun < QUICK, self._heard
                    yield self.tasks.popleft(), value
        except (EOFError, ConnectionError):
            ended = True
        self.lost = ended

    def ending(self) -> str:
        """How it ended, once it was killed or had ended before."""
        code = self._process.exitcode
        if not self.lost:
            return f"no answer for {START:g} seconds"
        return f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"

    def dismiss(self) -> None:
        """Tell it that there is no more."""
        self._dismissed = True
        self._send(_END)

    def kill(self) -> None:
        """See it gone."""
        if self._dismissed or self.lost:
            self._process.join(FAREWELL)
        self._process.kill()
        self._process.join()
        self._connection.close()


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """A process that is started meanwhile is deaf to Ctrl-C, which here is heard afterwards: the driver answers it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _own_modules() -> Iterator[None]:
    """A process that is started meanwhile looks for modules where they are installed, and not in the working folder:
    a file of the user's there, `common.py`, would be taken for one of ours. What its driver sees it is told later."""
    before = os.environ.get("PYTHONSAFEPATH")
    if Path.cwd() != Path(__file__).resolve().parents[1]:  # in a clone that is not installed, that is where they are
        os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("PYTHONSAFEPATH", None)


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


# -- the worker's side


def _unless_orphaned(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say nothing of a process that was to become a worker when its driver was killed: nobody told it its work."""
    if kind is not EOFError:
        sys.__excepthook__(kind, error, trace)


if any("multiprocessing.forkserver" in word for word in sys.orig_argv):  # here, in what workers are forked from
    sys.excepthook = _unless_orphaned


def _serve(driver: Connection, environment: dict[str, str]) -> None:
    """Do what the driver hands over, in its environment of now, until there is no more, or until it is gone."""
    global _driver
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _driver = driver
    received: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def receive() -> None:
        # by a thread of its own: the driver can hand something over while a long result is on its way to it
        with suppress(EOFError, OSError):
            while True:
                received.put(driver.recv_bytes())
        os._exit(1)

    threading.Thread(target=receive, daemon=True).start()
    try:
        job = pickle.loads(received.get())
        state = job.setup()
        alive()
        while (data := received.get()) != _END:
            driver.send_bytes(pickle.dumps(("done", job.work(state, pickle.loads(data)))))
    except BaseException as error:
        driver.send_bytes(_raised(error))
        while True:  # until the driver has read it, and ends this process
            received.get()


def _raised(error: BaseException) -> bytes:
    trace = "".join(traceback.format_exception(error))
    try:
        data = pickle.dumps(("raised", (error, trace)))
        pickle.loads(data)
        if isinstance(error, Exception):  # the others would end the driver in silence
            return data
    except Exception:  # it may hold anything
        pass
    return pickle.dumps(("raised", (RuntimeError(one_line(error)), trace)))
