"""Scores of one proxy for one cell at a time: from the store where they are, else made now and stored."""

from __future__ import annotations

import datetime
import time

from bench.plan import Pass
from bench.provenance import provenance
from bench.runner import Request, draw_batches, rows_of, set_up, store_settings
from bench.store import Row, ScoreStore, StoredRow
from bench.worker import Worker


class OnDemand:
    """`score(cell)`: mean over the seeds of a request for one proxy; None where some seed has no score.

    A class is scored once, for all its members. Rows are on disk before `score` returns, so whoever is killed and
    repeated meets the same scores again, only faster. Cells that failed earlier stay failed, unless `retry`.
    """

    def __init__(self, request: Request, store: ScoreStore) -> None:
        self._request, self._store = request, store
        (self.proxy,) = request.proxies
        self._drawn = draw_batches(request, [self.proxy])
        self._settings = store_settings(request, [self.proxy], store, self._drawn.hashes)
        self._space = request.benchmark.space
        self._stands_for = self._space.representatives(self.proxy.sees)
        self._known: dict[int, dict[int, StoredRow]] = {}
        """By seed and representative."""
        self._stored: dict[int, set[int]] = {}
        for (_, seed), identity in self._settings.items():
            final = [row for row in store.rows(identity, seed) if row.status == "ok" or not request.retry]
            self._known[seed] = {self._stands_for[row.cell]: row for row in final}
            self._stored[seed] = {row.cell for row in final}
        self._worker: Worker | None = None
        self._run: int | None = None
        self.passes = 0
        """How many were made now."""
        self.seconds = 0.0
        """Those that they took."""

    def score(self, cell: int) -> float | None:
        """The mean score of a cell."""
        found = [self._row(cell, seed).score for seed in self._request.seeds]
        scores = [score for score in found if score is not None]
        return sum(scores) / len(scores) if len(scores) == len(found) else None

    def _row(self, cell: int, seed: int) -> StoredRow:
        stands_for = self._stands_for[cell]
        if stands_for not in self._known[seed]:
            self._make(stands_for, seed)
        row = self._known[seed][stands_for]._replace(cell=cell)
        if cell not in self._stored[seed]:  # what was searched is scored, though another cell of its class was
            self._store.add(self._started(), [Row(self._settings[0, seed], seed, *row)])
            self._stored[seed].add(cell)
        return row

    def _make(self, cell: int, seed: int) -> None:
        start = time.monotonic()
        run = self._started()
        if self._worker is None:
            self._worker = set_up(self._request, self._request.proxies, self._drawn)()
        (outcome,) = self._worker.score(Pass(seed, self.proxy.init, cell, (0,)))
        rows = list(rows_of(outcome, [self.proxy], self._settings, range(len(self._space)), self._space))
        self._store.add(run, rows)
        self._known[seed][cell] = StoredRow(*rows[0][2:])
        self._stored[seed].update(row.cell for row in rows)
        self.passes += 1
        self.seconds += time.monotonic() - start

    def _started(self) -> int:
        """The run that the rows belong to: none where everything was there. It wants no cell but those it meets."""
        if self._run is None:
            self._run = self._store.start_run(
                datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                provenance(self._request.device) | {"workers": 1, "executor": "local"},
                [(identity, seed, "searched", 0) for (_, seed), identity in self._settings.items()],
            )
        return self._run

    def close(self) -> None:
        """Say what the run cost."""
        if self._run is not None:
            self._store.finish_run(self._run, self.seconds, self.passes)
