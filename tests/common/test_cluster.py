"""A Ray cluster of two machines: the contract of the local pool, while machines come and go."""

from __future__ import annotations

import os
import signal
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
from proxies import registry
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
            (name, row.cell): row.score
            for name in ask.proxies
            for stored in store.scores("digits", registry.create(name), teacher)
            for row in stored.rows
        }
        store.close()
    assert rows["ray"] == rows["local"]
