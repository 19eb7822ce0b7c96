"""A Ray cluster of two machines: the contract of the local pool, while machines come and go."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench.benchmarks import benchmark
from bench.runner import Request, execute
from bench.store import ScoreStore
from common.cluster import run
from common.errors import BadInput, BadUsage
from common.pool import Died, Job
from proxies.registry import create

pytestmark = pytest.mark.slow

ray = pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")


@pytest.fixture(scope="module")
def machines() -> Iterator[Any]:
    """A cluster whose first machine has one CPU; add_node adds others. This file can be imported there."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        here = str(Path(__file__).parent)
        patch.setenv("PYTHONPATH", os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]))
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        yield cluster
        ray.shutdown()
        cluster.shutdown()


def nothing() -> None:
    pass


def where(state: object, task: int) -> str:
    time.sleep(0.2)
    return str(ray.get_runtime_context().get_node_id())


def refuse(state: object, task: int) -> int:
    if task == 3:
        raise BadUsage("task 3 means nothing")
    return task


def die(folder: Path, state: object, task: int) -> int:
    if task == 3:
        with (folder / "tries").open("a") as file:
            file.write("x")
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def test_no_cluster_is_one_line() -> None:
    with pytest.raises(BadInput, match=r"no Ray cluster at 127.0.0.1:1 .* `ray start --head` starts one"):
        list(run(Job(nothing, refuse), range(2), None, "127.0.0.1:1", gpu=False))


def test_a_machine_that_joins_is_used_and_one_that_is_lost_is_survived(machines: Any) -> None:
    count, seen, second = 60, {}, None
    for task, node in run(Job(nothing, where), range(count), None, machines.address, gpu=False):
        assert not isinstance(node, Died)
        seen[task] = node
        if len(seen) == 3:
            assert len(set(seen.values())) == 1
            second = machines.add_node(num_cpus=1)
        if len(set(seen.values())) == 2 and second is not None:
            machines.remove_node(second, allow_graceful=False)
            second = None
    assert sorted(seen) == list(range(count))
    assert second is None, "the machine that joined was never used"


def test_what_kills_its_worker_twice_has_died_and_the_rest_is_done(machines: Any, tmp_path: Path) -> None:
    found = dict(run(Job(nothing, partial(die, tmp_path)), range(6), None, machines.address, gpu=False))
    assert isinstance(found.pop(3), Died)
    assert found == {task: task for task in (0, 1, 2, 4, 5)}
    assert (tmp_path / "tries").read_text() == "xx"


def test_an_error_of_a_task_is_raised_as_it_was(machines: Any) -> None:
    with pytest.raises(BadUsage, match=r"^task 3 means nothing$"):
        list(run(Job(nothing, refuse), range(6), None, machines.address, gpu=False))


def test_what_the_cluster_has_not_is_one_line(machines: Any) -> None:
    with pytest.raises(BadInput, match="has no GPU"):
        list(run(Job(nothing, refuse), range(2), None, machines.address, gpu=True))
    assert list(run(Job(nothing, refuse), [], None, "nowhere", gpu=False)) == []


def test_scores_are_those_of_one_process(machines: Any, tmp_path: Path) -> None:
    rows = {}
    for executor in ("local", "ray"):
        store = ScoreStore(tmp_path / f"{executor}.sqlite")
        ask = Request(
            benchmark("digits"), (create("diswot"), create("snip")), (0,), limit=24,
            workers=1 if executor == "local" else None,
            executor=executor, address=machines.address,
        )  # fmt: skip
        summary = execute(ask, store)
        assert summary.ok == summary.wanted == 48
        teacher = benchmark("digits").teacher.record()
        rows[executor] = {
            (proxy.name, row.cell): row.score
            for proxy in ask.proxies
            for stored in store.scores("digits", proxy, teacher)
            for row in stored.rows
        }
        store.close()
    assert rows["ray"] == rows["local"]


# tokens


CONNECT = """
import sys
from common.cluster import run
from common.errors import BadInput
from common.pool import Job
try:
    print(list(run(Job(int, divmod), [0], None, sys.argv[1], gpu=False)))
except BadInput as error:
    print(error)
except ZeroDivisionError:
    print("let in")
"""


def test_a_token_is_found_and_what_is_wrong_with_it_is_told(tmp_path: Path, environment: dict[str, str]) -> None:
    token, other = tmp_path / "token", tmp_path / "other"
    token.write_text("a" * 64)
    other.write_text("b" * 64)
    plain = {name: value for name, value in environment.items() if not name.startswith("RAY_")}
    plain["HOME"] = str(tmp_path / "home")
    command, port = Path(sys.executable).parent / "ray", str(random.Random(os.getpid()).randrange(20000, 30000))
    mine = plain | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    words = ["start", "--head", f"--port={port}", "--num-cpus=1", "--include-dashboard=false", "--block"]
    head = subprocess.Popen([command, *words], env=mine, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    drivers = {
        "its token, and no mode": plain | {"RAY_AUTH_TOKEN_PATH": str(token)},
        "another token": plain | {"RAY_AUTH_TOKEN_PATH": str(other)},
        "no token": plain,
        "a mode without a token": plain | {"RAY_AUTH_MODE": "token"},
    }
    try:
        end = time.monotonic() + 600
        while subprocess.run(
            [command, "status", f"--address=127.0.0.1:{port}"], env=mine, capture_output=True, check=False
        ).returncode:
            assert time.monotonic() < end
            time.sleep(0.5)
        script = [sys.executable, "-c", CONNECT, f"127.0.0.1:{port}"]
        running = {
            name: subprocess.Popen(script, env=each, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            for name, each in drivers.items()
        }
        said = {name: each.communicate()[0].strip() for name, each in running.items()}
    finally:
        head.terminate()
        head.wait()
    export = "export RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH=FILE, the file with the token"
    assert said["its token, and no mode"] == "let in"
    assert f"127.0.0.1:{port} does not take this token: {export}" in said["another token"]
    assert f"127.0.0.1:{port} answers nobody without a token, or is none: {export}" in said["no token"]
    assert f"RAY_AUTH_MODE is token, and there is no token: {export}" in said["a mode without a token"]
