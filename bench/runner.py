"""One run: ask the store what is missing, have it scored, write what comes back."""

from __future__ import annotations

import datetime
import itertools
import shlex
import time
from collections import Counter, deque
from collections.abc import Container, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import images
from bench.benchmarks import Benchmark
from bench.edited import settle_sources
from bench.identity import fingerprint, name_of, reads_batch, reads_second, settings
from bench.plan import Pass, Want, cells_together, passes, select_of
from bench.provenance import provenance
from bench.store import Row, ScoreStore, StoredRow
from bench.worker import Outcome, Setup, score_chunk
from common import cluster, pool, results
from common.errors import BadInput, BadUsage
from common.pool import Died, Job, TimedOut
from common.progress import PATIENCE, Live, Progress
from images.base import Batch
from proxies import registry
from proxies.base import Proxy
from spaces.kept import ROOM
from spaces.space import Space

CHUNK = 8
"""Passes in one task, or as many as are run together: what a dead worker costs, and how often results travel."""

TIMEOUT = PATIENCE
"""Seconds that a pass may take in a worker where nothing else is said."""

Chunk = tuple[Pass, ...]
Scored = Iterator[tuple[Chunk, list[Outcome] | Died]]
EXECUTORS = ("local", "ray")


@dataclass(frozen=True)
class Request:
    """What a `bench run` asks for."""

    benchmark: Benchmark
    proxies: tuple[Proxy, ...]
    """A script may give their names instead."""
    seeds: tuple[int, ...]
    cells: str = "all"
    limit: int | None = None
    workers: int | None = 1
    """None only on a cluster: as many as there is room for."""
    device: str = "cpu"
    data: Path | None = None
    files: tuple[Path, ...] = ()
    """Modules of the user's in which some of the proxies are defined; workers load them too."""
    retry: bool = False
    rescore: bool = False
    """Whether stored scores of code that was edited since are dropped; else they end the run."""
    executor: str = "local"
    address: str | None = None
    """Of a Ray cluster; None is the one on this machine."""
    together: int | None = None
    """How many cells are run as one network; None is what suits the benchmark and the device."""
    room: int = ROOM
    """Bytes that a worker keeps of what networks of a draw have in common."""
    timeout: float | None = None
    """Seconds after which a pass that has not come back is given up. None is `TIMEOUT` in workers; where one worker is
    this process, a command ends then, and a script waits."""

    def __post_init__(self) -> None:
        made = [registry.create(one, self.files) if isinstance(one, str) else one for one in self.proxies]
        object.__setattr__(self, "proxies", tuple(made))


@dataclass(frozen=True)
class Summary:
    """What a run did, and how the wanted cells stand now."""

    passes: int
    seconds: float
    wanted: int
    ok: int
    failed: int
    why: str = ""
    """The commonest reason of those that failed, and how to see one of them."""


class _Came(NamedTuple):
    """Outcomes that have come, how many passes they end, and as how many each of them counts that fails."""

    done: int
    outcomes: list[Outcome]
    weight: int = 1


class _Hopeless:
    """Counts the passes of proxies that have had no success yet, and ends the run of one that has none at all."""

    MOST = 20
    DEADLY = 4
    """As how many a pass counts that cost a worker or its patience: each takes that long."""
    FAILURES = ("error", "timeout", "oom")
    """What is no answer of the formula, as `nonfinite` and `not_applicable` are."""

    def __init__(self, hopeful: Iterable[int]) -> None:
        self._hopeful = set(hopeful)
        self._failed: dict[int, list[Outcome]] = {}
        self._weights: Counter[int] = Counter()

    def look(self, outcomes: Iterable[Outcome], weight: int, request: Request, store: ScoreStore) -> None:
        """Raises BadInput where a proxy has failed so often, and nothing else; each of the outcomes weighs as many."""
        for outcome in outcomes:
            if outcome.status not in self.FAILURES:
                self._hopeful.add(outcome.proxy)
            elif outcome.proxy not in self._hopeful:
                self._failed.setdefault(outcome.proxy, []).append(outcome)
                self._weights[outcome.proxy] += weight
        for number, failed in self._failed.items():
            if number not in self._hopeful and self._weights[number] >= self.MOST:
                why = _why([(one.cell, one.status, one.reason) for one in failed], request, store)
                raise BadInput(f"the first {len(failed)} passes of {request.proxies[number].label} all failed: {why}")


def _why(failed: Sequence[tuple[int, str, str]], request: Request, store: ScoreStore) -> str:
    """The commonest reason among (cell, status, reason), and the command that shows such a cell."""
    ((status, reason), count), *_ = Counter(entry[1:] for entry in failed).most_common(1)
    cell = next(cell for cell, *rest in failed if rest == [status, reason])
    words = [str(cell)]
    if request.benchmark.space.name != "nb201":
        words += ["--space", request.benchmark.space.name]
    if store.path != results.SCORE_STORE:
        words += ["--store", str(store.path)]
    words += [word for file in request.files for word in ("--module", str(file))]
    return f"{count} of them {status}: {reason} (`python -m bench show {shlex.join(words)}` shows one)"


def execute(request: Request, store: ScoreStore, live: Live | None = None) -> Summary:
    """Score what the store lacks. Rows are on disk as they come; a killed run loses at most the chunks in flight.

    `live` has its say in the progress line, of the first proxy's scores with the first seed.
    """
    start = time.monotonic()
    proxies, space = request.proxies, request.benchmark.space
    for proxy in proxies:
        if type(proxy).__module__ == "__main__":
            raise BadUsage(
                f"the proxy {proxy.label} is defined in the script that runs it: move it to a file of its own"
            )
    cells = select_of(request.cells, request.benchmark, request.limit)
    drawn = draw_batches(request, proxies)
    setting = store_settings(request, proxies, store, drawn.hashes)
    wants, copies = [], []
    for (number, seed), identity in setting.items():
        missing, copied = _missing(proxies[number], cells, store.rows(identity, seed), request.retry, space)
        wants.append(Want(number, seed, missing))
        copies += [Row(identity, seed, *row) for row in copied]
    tasks = passes(wants, proxies, space)
    run_id = store.start_run(
        datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        provenance(request.device) | {"workers": request.workers, "executor": request.executor},
        [(identity, seed, _named(request), len(cells)) for (_, seed), identity in setting.items()],
    )
    store.add(run_id, copies)
    setup = set_up(request, proxies, drawn)
    wanted = set(cells)
    names = [name_of(proxy, request.benchmark) for proxy in proxies]
    named = ",".join(names) if len(names) < 4 else f"{len(names)} proxies"
    title = f"{named} on {request.benchmark.name}"
    hopeless = _Hopeless({number for (number, _), identity in setting.items() if store.has_scores(identity)})
    watched = setting[0, request.seeds[0]], request.seeds[0]
    known = {row.cell: row.score for row in store.rows(*watched) if row.score is not None} if live else {}
    with (
        Progress(title, len(tasks), "passes", (lambda: live(known)) if live else None) as bar,
        closing(_outcomes(request, Job(setup, score_chunk), tasks)) as coming,
    ):
        for done, outcomes, weight in coming:
            rows = [row for outcome in outcomes for row in rows_of(outcome, proxies, setting, wanted, space)]
            store.add(run_id, rows)
            if live:
                known |= {row.cell: row.score for row in rows if row[:2] == watched and row.score is not None}
            bar.advance(done, failed=sum(row.status != "ok" for row in rows))
            hopeless.look(outcomes, weight, request, store)
    seconds = time.monotonic() - start
    store.finish_run(run_id, seconds, len(tasks))
    return _summary(request, store, setting, cells, len(tasks), seconds)


class Drawn(NamedTuple):
    """The images of a run, by `batch` or `second_batch` and seed: hashes of all, and those of the first seeds."""

    hashes: dict[tuple[str, int], str]
    batches: dict[tuple[str, int], Batch]


HANDED_OVER = 2**26
"""Bytes of images that workers are given; of further seeds they draw them, as the data set is read once anyway."""


def draw_batches(request: Request, proxies: Sequence[Proxy]) -> Drawn:
    """The images that the proxies read; where none reads any, no data set has to be there."""
    found, room = Drawn({}, {}), HANDED_OVER
    kinds = [kind for kind, reads in READ_BY.items() if any(map(reads, proxies))]
    data_set = images.load(request.benchmark.data_set, request.data) if kinds else None
    for seed, kind in itertools.product(request.seeds, kinds):
        batch = getattr(data_set, kind)(request.benchmark.batch, seed)
        found.hashes[kind, seed] = batch.hash
        room -= batch.images.nbytes
        if room >= 0:
            found.batches[kind, seed] = batch
    return found


READ_BY = {"batch": reads_batch, "second_batch": reads_second}
"""Of each batch of a data set, by the name of its method, whether a proxy reads it."""


def set_up(request: Request, proxies: tuple[Proxy, ...], drawn: Drawn) -> Setup:
    """What a worker is to know of a request."""
    where = (request.files, request.data, request.device)
    return Setup(
        request.benchmark, proxies, *where, together=request.together, room=request.room, batches=drawn.batches
    )


def store_settings(
    request: Request, proxies: Sequence[Proxy], store: ScoreStore, hashes: Mapping[tuple[str, int], str]
) -> dict[tuple[int, int], int]:
    """The store's number for each (proxy, seed). Raises BadInput where edited code has scores there."""
    numbers = {}
    for (number, proxy), seed in itertools.product(enumerate(proxies), request.seeds):
        record = settings(proxy, request.benchmark, hashes.get(("batch", seed)), hashes.get(("second_batch", seed)))
        numbers[number, seed] = store.setting(fingerprint(record), request.benchmark.name, proxy.label, record)
    settle_sources(store, request.benchmark, proxies, numbers, request.rescore)
    return numbers


def _named(request: Request) -> str:
    return request.cells if request.limit is None else f"{request.cells}, first {request.limit}"


def _chunks(tasks: Iterable[Pass], size: int) -> Iterator[Chunk]:
    """Passes that can be run together, in tasks of a size; else in their order."""
    waiting: dict[tuple[object, ...], list[Pass]] = {}
    for task in tasks:
        alike = waiting.setdefault((task.seed, task.init, task.proxies), [])
        alike.append(task)
        if len(alike) == size:
            yield tuple(alike)
            alike.clear()
    # what is left over, in tasks of mixed readers
    left = [task for alike in waiting.values() for task in alike]
    for start in range(0, len(left), size):
        yield tuple(left[start : start + size])


def _scored(request: Request, job: Job[Chunk, list[Outcome]], chunks: Iterable[Chunk]) -> Scored:
    if request.executor == "ray":
        return cluster.run(job, chunks, request.workers, request.address, gpu=request.device.startswith("cuda"))
    workers = request.workers or 1
    return pool.run(job, chunks, workers, TIMEOUT if request.timeout is None and workers > 1 else request.timeout)


def _outcomes(request: Request, job: Job[Chunk, list[Outcome]], tasks: Sequence[Pass]) -> Generator[_Came]:
    """The outcomes as they come.

    Of a chunk that kills its worker, or does not come back, each proxy gets its own try at each pass, before others.
    """
    apart: set[Chunk] = set()
    ends: set[Chunk] = set()
    """Of those apart, the last of each pass."""
    size = max(CHUNK, request.together or cells_together(request.benchmark, request.device))
    queue = deque(_chunks(tasks, size))

    def done(chunk: Chunk) -> int:
        return int(chunk in ends) if chunk in apart else len(chunk)

    for chunk, result in _scored(request, job, queue):
        if isinstance(result, Died) and (len(chunk) > 1 or len(chunk[0].proxies) > 1):
            alone = [[(task._replace(proxies=(proxy,)),) for proxy in task.proxies] for task in chunk]
            ends.update(tries[-1] for tries in alone)
            apart.update(itertools.chain(*alone))
            queue.extendleft(reversed([*itertools.chain(*alone)]))
            continue
        if isinstance(result, Died):
            ((seed, _, cell, (proxy,)),) = chunk
            status = "timeout" if isinstance(result, TimedOut) else "error"
            yield _Came(done(chunk), [Outcome(proxy, seed, cell, None, status, result.reason)], _Hopeless.DEADLY)
        else:
            yield _Came(done(chunk), result)


def _missing(
    proxy: Proxy, cells: Sequence[int], stored: Sequence[StoredRow], retry: bool, space: Space
) -> tuple[list[int], list[StoredRow]]:
    """The cells to score, and the rows that a stored member of their class gives for nothing."""
    final = [row for row in stored if row.status == "ok" or not retry]
    there = {row.cell for row in final}
    stands_for = space.representatives(proxy.sees)
    by_class = {stands_for[row.cell]: row for row in final}
    missing, copied = [], []
    for cell in cells:
        if cell not in there:
            if stands_for[cell] in by_class:
                copied.append(by_class[stands_for[cell]]._replace(cell=cell))
            else:
                missing.append(cell)
    return missing, copied


def rows_of(
    outcome: Outcome,
    proxies: Sequence[Proxy],
    setting: dict[tuple[int, int], int],
    wanted: Container[int],
    space: Space,
) -> Iterator[Row]:
    """The outcome of a class as rows of its members that are wanted."""
    identity = setting[outcome.proxy, outcome.seed]
    for cell in space.members(proxies[outcome.proxy].sees)[outcome.cell]:
        if cell in wanted:
            yield Row(identity, outcome.seed, cell, outcome.score, outcome.status, outcome.reason)


def _summary(
    request: Request,
    store: ScoreStore,
    setting: dict[tuple[int, int], int],
    cells: Sequence[int],
    passes: int,
    seconds: float,
) -> Summary:
    ok, missing = 0, 0
    failed: list[tuple[int, str, str]] = []
    for (_, seed), identity in setting.items():
        found = {row.cell: row for row in store.rows(identity, seed)}
        for cell in cells:
            row = found.get(cell)
            if row is None:
                missing += 1
            elif row.status == "ok":
                ok += 1
            else:
                failed.append((cell, row.status, row.reason))
    why = _why(failed, request, store) if failed else ""
    return Summary(passes, seconds, len(cells) * len(setting), ok, missing + len(failed), why)
