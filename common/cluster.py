"""Tasks over the machines of a Ray cluster, with the contract of `common.pool.run`.

Ray starts workers where there is room, on machines that join too, and does the tasks of a lost machine again.
"""

from __future__ import annotations

import logging
import math
import os
import re
import socket
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from common.errors import BadInput
from common.pool import Died, Job

Task = TypeVar("Task")
Result = TypeVar("Result")

AHEAD = 2
"""Tasks in flight for each place in the cluster, so that none waits for the driver."""
LOOK_AGAIN = 5.0
"""Seconds after which the size of the cluster is asked for again where nothing has come back."""

_states: dict[str, Any] = {}


def run(
    job: Job[Task, Result], tasks: Iterable[Task], workers: int | None, address: str | None, gpu: bool
) -> Iterator[tuple[Task, Result | Died]]:
    """Yield each task with its result, in order of completion; `setup` runs once in each process that Ray keeps. To
    `tasks`, where it is a deque, more may be added meanwhile.

    A task takes one CPU, or one GPU. `workers` caps the tasks at a time; None is as many as the cluster has room for.
    A task whose worker or machine was lost twice is `Died`; an exception of `setup` or `work` is raised here. Raises
    BadInput where there is no cluster at the address (none given: the one on this machine) or no room in it.
    """
    queue = tasks if isinstance(tasks, deque) else deque(tasks)
    if not queue:
        return
    ray = _connect(address)
    kind = "GPU" if gpu else "CPU"
    remote = ray.remote(num_cpus=0 if gpu else 1, num_gpus=1 if gpu else 0, max_retries=1)(_work)
    shared, key = ray.put(job), uuid.uuid4().hex
    in_flight: dict[Any, Task] = {}
    try:
        while queue or in_flight:
            places = int(ray.cluster_resources().get(kind, 0))
            if not places and not in_flight:
                raise BadInput(f"the Ray cluster has no {kind}: add a machine that has one, or choose another --device")
            room = min(AHEAD * places, workers or math.inf)
            while queue and len(in_flight) < room:
                task = queue.popleft()
                in_flight[remote.remote(shared, key, task)] = task
            done, _ = ray.wait(list(in_flight), num_returns=1, timeout=LOOK_AGAIN)
            for reference in done:
                yield in_flight.pop(reference), _result(ray, reference)
    finally:
        for reference in in_flight:
            ray.cancel(reference)
        ray.shutdown()


MODE, TOKEN, TOKEN_FILE = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
"""Environment variables of Ray: `token` where a cluster asks for one, the token, the file that it is in."""
_EXPORT = f"export {MODE}=token and {TOKEN_FILE}=FILE, the file with the token that its machines were started with"


def _has_token() -> bool:
    """Whether Ray finds a token: in the environment, in the file that it names, or in the home folder."""
    file = os.environ.get(TOKEN_FILE) or "~/.ray/auth_token"
    return bool(os.environ.get(TOKEN)) or Path(file).expanduser().is_file()


def _connect(address: str | None) -> Any:
    # `ray start` takes a token for granted where it finds one, `ray.init` only where it is told to
    if MODE not in os.environ and _has_token():
        os.environ[MODE] = "token"
    try:
        import ray
    except ModuleNotFoundError:
        raise BadInput("--executor ray needs Ray: `pip install 'diswot-bench[ray]'`") from None
    try:
        if found := re.fullmatch(r"([^:/]+):(\d+)", address or ""):  # Ray itself would try for minutes
            socket.create_connection((found[1], int(found[2])), timeout=10).close()
        ray.init(address=address or "auto", log_to_driver=False, logging_level=logging.ERROR)
    except ray.exceptions.AuthenticationError as error:
        raise BadInput(f"{MODE} is token, and there is no token: {_EXPORT}") from error
    except (OSError, ValueError, RuntimeError) as error:
        where = f"at {address}" if address else "on this machine"
        if str(error).startswith("Failed to connect to Ray cluster"):  # something listens there
            takes = "does not take this token" if _has_token() else "answers nobody without a token, or is none"
            raise BadInput(f"the Ray cluster {where} {takes}: {_EXPORT}") from error
        raise BadInput(f"no Ray cluster {where} ({error}): `ray start --head` starts one") from error
    return ray


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, ray.exceptions.RayError):  # the machine could not even read the task
            last = str(error.cause).strip().splitlines()[-1]
            raise BadInput(f"a machine of the cluster cannot do a task ({last}): install this project there") from error
        raise error.cause from error
    except ray.exceptions.RayError:
        return Died("the worker or its machine was lost twice on this task")


def _work(job: Job[Task, Result], key: str, task: Task) -> Result:
    """In a process of the cluster; of the states of several runs the latest is kept."""
    if key not in _states:
        _states.clear()
        _states[key] = job.setup()
    return job.work(_states[key], task)
