"""One run in this process: scores do not depend on how the work was done, failures are rows, nothing is done twice."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bench.plan
import bench.runner
import images
from bench.benchmarks import benchmark
from bench.checks.judge import Judged, judge
from bench.plan import Pass
from bench.runner import Request, Summary, execute
from bench.store import ScoreStore, StoredRow
from bench.worker import Outcome, Setup, Worker
from common.errors import BadInput, BadUsage
from common.pool import Died
from proxies.base import NotApplicable
from proxies.registry import create
from spaces.nb201.cell import Cell, cell_at
from spaces.nb201.equivalence import members, representatives

DIGITS = benchmark("digits")

DEGENERATE = [
    Cell.parse(text).index
    for text in (
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
        "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|",
        "|avg_pool_3x3~0|+|avg_pool_3x3~0|avg_pool_3x3~1|+|avg_pool_3x3~0|avg_pool_3x3~1|avg_pool_3x3~2|",
        "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|",  # dead convolutions
        "|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|nor_conv_3x3~1|skip_connect~2|",  # convolutions of zeros
        "|none~0|+|none~0|avg_pool_3x3~1|+|none~0|none~1|none~2|",
    )
]
FAMILY = max(members("function").values(), key=len)[:6]
"""Cells of one class, the lowest, its representative, first."""
CELLS = [*DEGENERATE, *FAMILY, *random.Random(3).sample(range(15625), 12)]


@pytest.fixture(scope="module")
def cells_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("run") / "cells.txt"
    path.write_text("\n".join(map(str, CELLS)))
    return str(path)


@pytest.fixture
def new_store(tmp_path: Path) -> Iterator[Callable[[], ScoreStore]]:
    stores: list[ScoreStore] = []

    def make() -> ScoreStore:
        stores.append(ScoreStore(tmp_path / f"{len(stores)}.sqlite"))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def ask(proxies: str, cells: str, **more: Any) -> Request:
    made = tuple(create(text, more.get("files", ())) for text in proxies.split(","))
    return Request(**{"benchmark": DIGITS, "proxies": made, "seeds": (0,), "cells": cells} | more)


def stored(store: ScoreStore) -> dict[tuple[str, int], list[StoredRow]]:
    """Every row by proxy and seed."""
    query = "SELECT DISTINCT s.proxy, c.seed, s.id FROM score c JOIN setting s ON s.id = c.setting"
    return {(proxy, seed): store.rows(number, seed) for proxy, seed, number in store._database.execute(query)}


@pytest.mark.slow
def test_the_images_are_drawn_once_for_all_who_read_them(
    new_store: Callable[[], ScoreStore], cells_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a run has hashed is what is read; of more images than are handed over, a worker draws its own, the same."""
    load, loaded, rows = images.load, [], []
    monkeypatch.setattr(images, "load", lambda *words: loaded.append(words) or load(*words))
    for room, times in ((bench.runner.HANDED_OVER, 1), (0, 2)):
        monkeypatch.setattr(bench.runner, "HANDED_OVER", room)
        store = new_store()
        execute(ask("nwot,zico", cells_file, limit=4, seeds=(0, 1)), store)
        rows.append(stored(store))
        assert len(loaded) == times
        loaded.clear()
    assert rows[0] == rows[1]


PROXIES = "diswot,diswot:variant=paper,nwot,params"


@pytest.fixture(scope="module")
def expected(cells_file: str) -> dict[tuple[str, int], list[StoredRow]]:
    """All rows of `PROXIES` with seeds 0 and 1, of one run that nothing disturbed."""
    store = ScoreStore(Path(cells_file).with_name("expected.sqlite"))
    summary = execute(ask(PROXIES, cells_file, seeds=(0, 1)), store)
    wanted = len(set(CELLS)) * 4 * 2
    assert summary.wanted == summary.ok + summary.failed == wanted
    found = stored(store)
    store.close()
    assert all([row.cell for row in rows] == sorted(set(CELLS)) for rows in found.values())
    assert len(found) == 8
    assert sum(row.status == "ok" for rows in found.values() for row in rows) > 0.8 * wanted
    return found


Expected = dict[tuple[str, int], list[StoredRow]]
New = Callable[[], ScoreStore]


@pytest.mark.slow
@pytest.mark.usefixtures("forked_pool")
def test_rows_do_not_depend_on_the_number_of_workers(cells_file: str, new_store: New, expected: Expected) -> None:
    store = new_store()
    execute(ask(PROXIES, cells_file, seeds=(0, 1), workers=2), store)
    assert stored(store) == expected


@pytest.mark.slow
def test_rows_do_not_depend_on_order_and_chunks(
    cells_file: str, new_store: New, expected: Expected, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store()
    monkeypatch.setattr(bench.plan, "visiting_order", lambda space: range(15624, -1, -1))
    monkeypatch.setattr(bench.runner, "CHUNK", 3)
    execute(ask(PROXIES, cells_file, seeds=(1, 0)), store)
    assert stored(store) == expected


@pytest.mark.slow
def test_rows_do_not_depend_on_the_company_a_proxy_is_scored_in(
    cells_file: str, new_store: New, expected: Expected
) -> None:
    store = new_store()
    for proxy in PROXIES.split(","):
        for seed in (1, 0):
            execute(ask(proxy, cells_file, seeds=(seed,)), store)
    assert stored(store) == expected
    gradients = new_store()  # a proxy that makes the shared pass keep its graph
    execute(ask(f"snip,{PROXIES}", cells_file, seeds=(0, 1)), gradients)
    assert {key: rows for key, rows in stored(gradients).items() if key[0] != "snip"} == expected


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 3])
def test_a_run_that_was_stopped_goes_on_to_the_same_rows(
    cells_file: str, new_store: New, expected: Expected, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    store = new_store()
    request = ask(PROXIES, cells_file, seeds=(0, 1))
    monkeypatch.setattr(bench.runner, "CHUNK", 4)
    monkeypatch.setattr(bench.runner, "cells_together", lambda *_: 1)
    add, count = store.add, 0

    def add_or_stop(*args: Any) -> None:
        nonlocal count
        count += 1
        if count > after + 1:  # the first call brings copies
            raise KeyboardInterrupt
        add(*args)

    with monkeypatch.context() as patch:
        patch.setattr(store, "add", add_or_stop)
        with pytest.raises(KeyboardInterrupt):
            execute(request, store)
    there = sum(map(len, stored(store).values()))
    assert 0 < there < sum(map(len, expected.values()))
    execute(request, store)
    assert stored(store) == expected


@pytest.mark.slow
def test_a_second_run_has_nothing_to_do(cells_file: str, new_store: New) -> None:
    store = new_store()
    first = execute(ask("diswot,params", cells_file), store)
    assert first.passes > 0
    second = execute(ask("diswot,params", cells_file), store)
    assert second.passes == 0
    assert second.wanted == first.wanted
    assert (second.ok, second.failed) == (first.ok, first.failed)


@pytest.mark.slow
def test_only_what_is_missing_is_run(tmp_path: Path, new_store: New, monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_store()
    scored: list[Pass] = []
    score = Worker.score_together
    monkeypatch.setattr(Worker, "score_together", lambda self, tasks: scored.extend(tasks) or score(self, tasks))
    execute(ask("diswot", "all", limit=6), store)
    first = {task.cell for task in scored}
    scored.clear()
    execute(ask("diswot,params", "all", limit=12), store)
    assert not first & {task.cell for task in scored if 0 in task.proxies}, "diswot was scored again"
    assert len({task.cell for task in scored if 1 in task.proxies}) == 12


@pytest.mark.slow
def test_a_class_is_scored_once_and_every_member_gets_its_row(tmp_path: Path, new_store: New) -> None:
    path = tmp_path / "family.txt"
    path.write_text("\n".join(map(str, FAMILY)))
    store, alone = new_store(), new_store()
    assert execute(ask("diswot", str(path)), store).passes == 1
    path.write_text(str(FAMILY[0]))
    execute(ask("diswot", str(path)), alone)
    (representative,) = stored(alone)["diswot", 0]
    assert representative.status == "ok"
    assert stored(store)["diswot", 0] == [representative._replace(cell=cell) for cell in FAMILY]


@pytest.mark.slow
def test_a_member_is_scored_on_the_representative_even_if_that_is_not_wanted(
    tmp_path: Path, new_store: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "member.txt"
    path.write_text(str(FAMILY[3]))
    scored: list[int] = []
    score = Worker.score_together
    monkeypatch.setattr(
        Worker, "score_together", lambda self, tasks: scored.extend(task.cell for task in tasks) or score(self, tasks)
    )
    store = new_store()
    execute(ask("diswot", str(path)), store)
    assert scored == [FAMILY[0]]
    assert [row.cell for row in stored(store)["diswot", 0]] == [FAMILY[3]]


@pytest.mark.slow
def test_a_member_of_a_stored_class_is_copied_without_a_pass(tmp_path: Path, new_store: New) -> None:
    path = tmp_path / "cells.txt"
    path.write_text(str(FAMILY[2]))
    store = new_store()
    execute(ask("diswot", str(path)), store)
    path.write_text(f"{FAMILY[4]}\n{FAMILY[2]}\n")
    summary = execute(ask("diswot", str(path)), store)
    assert (summary.passes, summary.ok) == (0, 2)
    (first, second) = stored(store)["diswot", 0]
    assert first._replace(cell=second.cell) == second


@pytest.mark.slow
def test_seeds_give_other_scores_and_are_kept_apart(cells_file: str, expected: Expected) -> None:
    for proxy in ("diswot", "nwot"):
        one, two = ({row.cell: row.score for row in expected[proxy, seed]} for seed in (0, 1))
        # a network that passes nothing on looks the same with all weights
        assert not [cell for cell in CELLS if one[cell] == two[cell] and cell_at(cell).live_edges()]
    assert expected["params", 0] == expected["params", 1]


@pytest.mark.slow
def test_scores_of_settings_that_differ_are_kept_apart(tmp_path: Path, new_store: New) -> None:
    path = tmp_path / "cells.txt"
    path.write_text("9930")
    store = new_store()
    for text in ("diswot", "diswot:init=kaiming"):
        assert execute(ask(text, str(path)), store).passes == 1
    assert execute(ask("diswot", str(path), seeds=(1,)), store).passes == 1
    assert set(stored(store)) == {("diswot", 0), ("diswot:init=kaiming", 0), ("diswot", 1)}


# -- failures

_MINE = '''
from dataclasses import dataclass
from pathlib import Path
from proxies.base import NotApplicable, Proxy, Reference

HERE = Path({folder!r})


@dataclass(frozen=True)
class Mine(Proxy):
    """Fails on some cells until a file says that it is mended."""

    name = "testers_own"
    family = "test"
    needs = ()
    sees = "cell"
    reference = Reference(title="", year=2025, arxiv="", bibtex="")

    def score(self, student, teacher):
        index = student.cell.index
        with (HERE / "calls").open("a") as file:
            file.write(f"{{index}}\\n")
        if not (HERE / "mended").exists():
            if index == 1:
                raise ValueError("no score\\n  for   this one")
            if index == 2:
                return float("nan")
            if index == 3:
                return float("-inf")
            if index == 4:
                raise NotApplicable("four has no meaning")
            if index == 5:
                raise MemoryError("too large")
            if index == 6:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
            if index == 7:
                return "a word"
        return 0.5 * index
'''


@pytest.fixture
def testers_own(tmp_path: Path) -> Path:
    path = tmp_path / "testers_own.py"
    path.write_text(_MINE.format(folder=str(tmp_path)))
    (tmp_path / "ten.txt").write_text("\n".join(map(str, range(10))))
    return path


def calls(folder: Path) -> list[int]:
    """The cells the proxy was asked about since the last time."""
    path = folder / "calls"
    found = sorted(map(int, path.read_text().split())) if path.exists() else []
    path.unlink(missing_ok=True)
    return found


FAILED = [
    StoredRow(1, None, "error", "ValueError: no score for this one (testers_own.py:25)"),
    StoredRow(2, None, "nonfinite", "nan"),
    StoredRow(3, None, "nonfinite", "-inf"),
    StoredRow(4, None, "not_applicable", "four has no meaning"),
    StoredRow(5, None, "oom", "MemoryError: too large"),
    StoredRow(
        6, None, "oom", "RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."
    ),
    StoredRow(
        7,
        None,
        "error",
        "TypeError: score() returned the str 'a word': return one number, a float (testers_own.py:19)",
    ),
]


def test_what_has_no_score_is_a_row_that_says_why(testers_own: Path, tmp_path: Path, new_store: New) -> None:
    store = new_store()
    summary = execute(ask("testers_own,params", str(tmp_path / "ten.txt"), files=(testers_own,)), store)
    assert (summary.wanted, summary.ok, summary.failed) == (20, 13, 7)
    rows = stored(store)["testers_own", 0]
    assert rows[1:8] == FAILED
    assert [row.score for row in rows if row.status == "ok"] == [0.0, 4.0, 4.5]
    assert all(row.status == "ok" for row in stored(store)["params", 0]), "another proxy of the same pass is unharmed"


@pytest.mark.slow
def test_only_what_failed_is_tried_again_and_only_when_asked(
    testers_own: Path, tmp_path: Path, command: Callable[..., Any], new_store: New
) -> None:
    words = [
        "run",
        "testers_own",
        "--proxy-module",
        testers_own,
        "--cells",
        "ten.txt",
        "--workers",
        1,
        "--store",
        "s.sqlite",
    ]
    first = command("bench", *words)
    assert first.code == 3
    assert "3 of 10 scores in s.sqlite" in first.out
    assert "7 have no score" in first.err
    assert dict.fromkeys(calls(tmp_path)) == dict.fromkeys(range(10))  # some are asked twice, and have to say the same

    assert command("bench", *words).code == 3
    assert calls(tmp_path) == []

    assert command("bench", *words, "--retry").code == 3
    assert calls(tmp_path) == [1, 2, 3, 4, 5, 6, 7]

    (tmp_path / "mended").touch()
    assert command("bench", *words, "--retry").code == 0
    assert dict.fromkeys(calls(tmp_path)) == dict.fromkeys([1, 2, 3, 4, 5, 6, 7])
    assert command("bench", *words, "--retry").code == 0
    assert calls(tmp_path) == []
    store = ScoreStore(tmp_path / "s.sqlite", write=False)
    assert stored(store)["testers_own", 0] == [StoredRow(cell, 0.5 * cell, "ok", "") for cell in range(10)]
    store.close()


@pytest.mark.slow
def test_a_failure_is_copied_to_its_class_and_tried_again_for_all_of_it(
    tmp_path: Path, new_store: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cells.txt"
    path.write_text(str(FAMILY[1]))
    store = new_store()
    with monkeypatch.context() as patch:
        patch.setattr("bench.checks.chance.judge", lambda *_: Judged(None, "error", "flaky"))
        execute(ask("diswot", str(path)), store)
    path.write_text("\n".join(map(str, FAMILY)))
    summary = execute(ask("diswot", str(path)), store)
    assert (summary.passes, summary.failed) == (0, len(FAMILY))
    summary = execute(ask("diswot", str(path), retry=True), store)
    assert (summary.passes, summary.ok, summary.failed) == (1, len(FAMILY), 0)
    assert len({row.score for row in stored(store)["diswot", 0]}) == 1


@pytest.mark.parametrize("error", [BadInput("no data"), BadUsage("no such thing")])
def test_an_error_of_the_person_at_the_keyboard_ends_the_run(error: BadInput) -> None:
    class Raises:
        def score(self, student: object, teacher: object) -> float:
            raise error

    with pytest.raises(type(error)):
        judge(Raises(), None, None)


@pytest.mark.slow
def test_a_pass_that_kills_its_worker_is_the_only_one_lost_of_its_chunk(
    cells_file: str, new_store: New, expected: Expected, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly = representatives("relus")[FAMILY[0]]
    run = bench.runner.pool.run

    def dying(job: Any, tasks: Any, workers: int, limit: float | None) -> Iterator[tuple[Any, Any]]:
        while tasks:  # the driver adds to it
            chunk = tasks.popleft()
            if any(task.cell == deadly for task in chunk):
                yield chunk, Died()
            else:
                yield from run(job, [chunk], 1)

    monkeypatch.setattr(bench.runner.pool, "run", dying)
    store = new_store()
    summary = execute(ask("nwot", cells_file), store)
    struck = {cell for cell in CELLS if representatives("relus")[cell] == deadly}
    rows = stored(store)["nwot", 0]
    assert {row.cell for row in rows if row.status == "error" and "died" in row.reason} == struck
    assert [row for row in rows if row.cell not in struck] == [
        row for row in expected["nwot", 0] if row.cell not in struck
    ]
    assert summary.ok + summary.failed == summary.wanted


def test_a_cell_that_never_came_back_is_not_counted_as_done(
    cells_file: str, new_store: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.runner.pool, "run", lambda job, tasks, workers, limit: iter(()))
    summary = execute(ask("params", cells_file), new_store())
    assert (summary.ok, summary.failed) == (0, summary.wanted)


# -- what is needed to score


def test_counting_needs_no_data(new_store: New) -> None:
    store = new_store()
    summary = execute(ask("params,flops", "all", limit=20, benchmark=benchmark("cifar100")), store)
    assert summary == Summary(20, summary.seconds, 40, 40, 0)


@pytest.mark.slow
def test_the_batch_is_not_read_where_no_proxy_needs_it(new_store: New, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the data set was opened")

    monkeypatch.setattr("images.load", refuse)
    assert execute(ask("synflow,params", "all", limit=3), new_store()).ok > 0
    with pytest.raises(AssertionError, match="the data set was opened"):
        execute(ask("nwot", "all", limit=3), new_store())


@pytest.mark.slow
def test_a_worker_scores_a_pass_in_the_order_of_its_proxies() -> None:
    worker = Setup(DIGITS, tuple(map(create, ("params", "diswot", "nwot"))), (), None, "cpu")()
    outcomes = worker.score(Pass(0, "default", 9930, (0, 2)))
    assert [(outcome.proxy, outcome.cell, outcome.status) for outcome in outcomes] == [(0, 9930, "ok"), (2, 9930, "ok")]
    assert all(isinstance(outcome, Outcome) for outcome in outcomes)


def test_not_applicable_keeps_its_reason() -> None:
    class Raises:
        def score(self, student: object, teacher: object) -> float:
            raise NotApplicable("no teacher of this width")

    assert judge(Raises(), None, None) == (None, "not_applicable", "no teacher of this width")


def test_labels_make_the_same_proxy_again() -> None:
    for text in ("diswot", "diswot:variant=released", "diswot:variant=paper:init=kaiming", "nwot:init=gaussian"):
        proxy = create(text)
        assert create(proxy.label) == proxy
