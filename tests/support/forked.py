"""Processes of a test's own, to be killed or to be alone with what they change.

They are forked from one process that has imported PyTorch and the project, and worked out what every command does:
they start in a tenth of a second, where an interpreter takes three.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["torch", "torch._dynamo", "pandas", "scipy.stats", "pytest", "warm"])
HERE = Path(__file__).parent
PLACES = [str(HERE.parents[1]), str(HERE)]


def serve() -> None:
    """Start the process from which all are forked, once; it finds what it imports by PYTHONPATH alone."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([*PLACES, *([before] if before else [])])
    try:
        forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before


@dataclass(frozen=True)
class Forked:
    """A process that was started, and the folder where what it prints is kept."""

    process: BaseProcess
    said: Path

    def end(self) -> tuple[int, str, str]:
        """Exit code, output and errors, once it has ended; the code of a process that a signal killed is negative."""
        self.process.join(600)
        assert self.process.exitcode is not None, "it has not ended in ten minutes"
        return self.process.exitcode, (self.said / "out").read_text(), (self.said / "err").read_text()


def start(work: Callable[..., object], arguments: tuple[Any, ...], folder: Path, said: Path) -> Forked:
    """Start `work(*arguments)`, a function of a module, in `folder`, on one thread."""
    serve()
    process = CONTEXT.Process(target=_work, args=(work, arguments, folder, said))
    process.start()
    return Forked(process, said)


def _work(work: Callable[..., object], arguments: tuple[Any, ...], folder: Path, said: Path) -> None:
    import torch

    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # blocked where a pool has started the server
    os.chdir(folder)
    for stream, name in ((sys.stdout, "out"), (sys.stderr, "err")):
        os.dup2(os.open(said / name, os.O_WRONLY | os.O_CREAT), stream.fileno())
    torch.set_num_threads(1)
    work(*arguments)


def as_it_came() -> None:
    """Let a process from a fork server ask that same server for more: Python would start another, for seconds."""
    # the pool asks the module, and a process that starts the server
    forkserver.ensure_running = forkserver._forkserver.ensure_running = lambda: None  # type: ignore[attr-defined]


def python(*words: str) -> None:
    """What `python WORDS` does, of a script or of `-m`, in a folder that holds modules: its own come before others."""
    sys.path.insert(0, os.getcwd())
    own = {path.name for path in Path().iterdir() if (path / "__init__.py").exists()}
    for name in [name for name in sys.modules if name.partition(".")[0] in own]:
        del sys.modules[name]  # a copy of the project imports itself, and the next command what it has compiled
        sys.dont_write_bytecode = False
    sys.argv = [*words[1:]] if words[0] == "-m" else [*words]
    if words[0] == "-m":
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(words[0], run_name="__main__")


def session(*words: str) -> None:
    """As `python`, in a session of its own, which Ctrl-C reaches as from a terminal, and no test."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell has put the tests into background
    python(*words)
