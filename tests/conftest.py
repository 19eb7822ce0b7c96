"""What the tests of command lines share: words run in this process, where that tells enough, or in a real one."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import forked
import hypothesis
import pytest

import common.cli
from common import modules
from common.reproducible import keep_memory

ROOT = Path(__file__).parents[1]

os.environ.setdefault("OMP_NUM_THREADS", "1")  # PyTorch is not imported yet; threads of two workers would spin
hypothesis.settings.register_profile("no deadline", deadline=None)  # timing is never asserted
hypothesis.settings.load_profile("no deadline")
keep_memory()  # as every worker does


def pytest_collection_finish() -> None:
    """Spare the garbage collector what stays until the end: thousands of tests, and all that was imported."""
    gc.freeze()


SLOW = 0.1
"""Seconds of processor time, of this process and those that have ended below it, from which a test is marked `slow`."""
_SPENT = "processor seconds"


def _timed(item: pytest.Item) -> Iterator[None]:
    before = sum(os.times()[:4])
    yield
    item.user_properties.append((_SPENT, sum(os.times()[:4]) - before))


pytest_runtest_setup = pytest.hookimpl(hookwrapper=True)(_timed)
pytest_runtest_call = pytest.hookimpl(hookwrapper=True)(_timed)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests that should be marked `slow`: twice as long as may be, since a busy machine takes longer."""
    for report in terminalreporter.stats.get("passed", ()):
        spent = sum(value for name, value in report.user_properties if name == _SPENT)
        if "slow" not in report.keywords and spent > 2 * SLOW:
            terminalreporter.write_line(f"{spent:.1f} s, to be marked slow: {report.nodeid}")


class Ended(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """What stands behind `error: `, once it is certain that nothing else was printed but progress lines."""
        assert "Traceback" not in self.err, self.err
        errors = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, self.err
        assert self.err.endswith(errors[0] + "\n"), f"the error is not one line: {self.err}"
        return errors[0].removeprefix("error: ")


Command = Callable[..., Ended]
Fork = Callable[..., forked.Forked]


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment of a command that is run from another folder than the source tree's."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], forked_pool: None
) -> Iterator[Command]:
    """`command("bench", "list", "--json")`: `python -m bench list --json` in `tmp_path`, without a new interpreter."""

    def run(package: str, *words: object) -> Ended:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [package, *map(str, words)])
        code: object = 0
        try:
            common.cli.run(import_module(f"{package}.cli" if package != "diswot_bench" else "diswot_bench.app").app)
        except SystemExit as end:
            code = end.code
        assert code is None or isinstance(code, int)
        return Ended(code or 0, *capsys.readouterr())

    yield run
    modules.use(())


@pytest.fixture
def process(tmp_path: Path, environment: dict[str, str]) -> Command:
    """As `command`, in a process of its own."""

    def run(package: str, *words: object) -> Ended:
        done = subprocess.run(
            [sys.executable, "-m", package, *map(str, words)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def fork(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Fork:
    """`fork(work, 1, 2)`: `work(1, 2)` in a process of its own, in `folder` or else in `tmp_path`."""

    def start(work: Callable[..., object], *arguments: object, folder: Path = tmp_path) -> forked.Forked:
        return forked.start(work, arguments, folder, tmp_path_factory.mktemp("said"))

    return start


@pytest.fixture
def forked_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that start as those of `fork` do: how workers of a user start is tested in tests/common/test_pool.py."""
    forked.serve()
    monkeypatch.setattr("common.crew.multiprocessing.get_context", lambda method: forked.CONTEXT)


@pytest.fixture(autouse=True)
def one_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """What processes of tests are forked from has imported what `forked` says, whatever a command would like."""
    monkeypatch.setattr("common.crew.prepare", lambda *modules: None)


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bootstraps of 200 draws."""
    monkeypatch.setattr("analysis.stats.bootstrap.RESAMPLES", 200)
