"""Published scores are the stored ones to the last bit, and verify tells whether the code still computes them."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import hashlib
import json
import math
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import bench.checks.verify
import bench.identity
from bench.benchmarks import benchmark
from bench.checks.verify import verify
from bench.published import export, read_manifest
from bench.runner import Request, execute
from bench.store import Row, ScoreStore
from bench.worker import Worker
from common.errors import BadInput
from proxies.base import Proxy
from proxies.registry import create

pytestmark = pytest.mark.slow

DIGITS = benchmark("digits")


def score(store: ScoreStore, *labels: str, **more: object) -> None:
    proxies = tuple(map(create, labels))
    execute(Request(**{"benchmark": DIGITS, "proxies": proxies, "seeds": (0, 1), "limit": 8} | more), store)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "scores.sqlite"
    opened = ScoreStore(path)
    score(opened, "diswot", "params", "nwot:init=kaiming")
    opened.close()
    return path


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Iterator[ScoreStore]:
    """Scores of three proxies, eight cells and two seeds."""
    opened = ScoreStore(Path(shutil.copy(made, tmp_path)))
    yield opened
    opened.close()


def proxies(*labels: str) -> list[Proxy]:
    return list(map(create, labels))


def check(store: ScoreStore, *labels: str, sample: int = 100, **more: object) -> list[bench.checks.verify.Verdict]:
    setting = dataclasses.replace(DIGITS, **more)
    return verify(store, setting, proxies(*labels), sample, "cpu", None, ())


def table(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", newline="") as file:
        return list(csv.DictReader(file))


# -- export


def test_the_published_rows_are_the_stored_ones_and_floats_survive(store: ScoreStore, tmp_path: Path) -> None:
    (path,) = export(store, "digits", proxies("diswot"), tmp_path / "out")
    assert path == tmp_path / "out" / "digits" / "diswot.csv.gz"
    rows = table(path)
    assert list(rows[0]) == ["cell", "seed", "score", "status", "reason"]
    found = [(int(row["cell"]), int(row["seed"]), float(row["score"]), row["status"], row["reason"]) for row in rows]
    (zero, one) = store.scores("digits", create("diswot"))
    stored = [(row.cell, entry.seed, *row[1:]) for entry in (zero, one) for row in entry.rows]
    assert found == sorted(stored)


@pytest.mark.parametrize("value", [0.1 + 0.2, -1 / 3, 5e-324, 1.7976931348623157e308, 123456789.12345679, -2.0])
def test_every_float_reads_back_as_itself(tmp_path: Path, value: float) -> None:
    store = ScoreStore(tmp_path / "one.sqlite")
    number = store.setting(
        "f", "digits", "diswot", {"version": create("diswot").version, "code_epoch": bench.identity.CODE_EPOCH}
    )
    store.add(store.start_run("now", {}, [(number, 0, "all", 1)]), [Row(number, 0, 5, value, "ok", "")])
    (path,) = export(store, "digits", proxies("diswot"), tmp_path)
    (row,) = table(path)
    assert float(row["score"]) == value
    assert math.copysign(1, float(row["score"])) == math.copysign(1, value)
    store.close()


def test_a_row_without_a_score_has_none_and_says_why(store: ScoreStore, tmp_path: Path) -> None:
    entry = store.scores("digits", create("diswot"))[0]
    free = next(cell for cell in range(100) if cell not in {row.cell for row in entry.rows})
    run = store.start_run("now", {}, [])
    store.add(run, [Row(entry.setting, 0, free, None, "error", 'ValueError: "no", she said\nand left')])
    (path,) = export(store, "digits", proxies("diswot"), tmp_path)
    (row,) = [row for row in table(path) if row["cell"] == str(free)]
    assert (row["score"], row["status"], row["reason"]) == ("", "error", 'ValueError: "no", she said\nand left')
    entry = read_manifest(tmp_path / "digits")["diswot.csv.gz"]
    assert (entry["rows"], entry["ok"]) == (17, 16)


def test_equal_rows_give_equal_bytes_however_they_came_to_be_stored(store: ScoreStore, tmp_path: Path) -> None:
    other = ScoreStore(tmp_path / "other.sqlite")
    score(other, "nwot:init=kaiming")
    for seed in (1, 0):
        score(other, "params", "diswot", seeds=(seed,), limit=3)
        score(other, "diswot", "params", seeds=(seed,))
    labels = ("diswot", "params", "nwot:init=kaiming")
    first = export(store, "digits", proxies(*labels), tmp_path / "a")
    second = export(other, "digits", proxies(*labels), tmp_path / "b")
    other.close()
    assert [path.name for path in first] == ["diswot.csv.gz", "params.csv.gz", "nwot.init=kaiming.csv.gz"]
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes()
    manifests = [(tmp_path / name / "digits" / "manifest.json").read_bytes() for name in "ab"]
    assert manifests[0] == manifests[1]


def test_the_manifest_says_what_the_files_are(store: ScoreStore, tmp_path: Path) -> None:
    paths = export(store, "digits", proxies("diswot", "params"), tmp_path)
    manifest = read_manifest(tmp_path / "digits")
    assert sorted(manifest) == ["diswot.csv.gz", "params.csv.gz"]
    for path in paths:
        entry = manifest[path.name]
        assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert entry["rows"] == entry["ok"] == 16
        for seed, setting in entry["settings"].items():
            assert seed in ("0", "1")
            assert bench.identity.fingerprint(setting["record"]) == setting["fingerprint"]
    assert manifest["diswot.csv.gz"]["settings"]["0"]["record"]["skeleton"] == dataclasses.asdict(DIGITS.skeleton)


def test_another_export_adds_to_the_manifest(store: ScoreStore, tmp_path: Path) -> None:
    export(store, "digits", proxies("diswot"), tmp_path)
    before = read_manifest(tmp_path / "digits")
    export(store, "digits", proxies("params"), tmp_path)
    after = read_manifest(tmp_path / "digits")
    assert sorted(after) == ["diswot.csv.gz", "params.csv.gz"]
    assert after["diswot.csv.gz"] == before["diswot.csv.gz"]


def test_what_is_not_stored_is_not_published(store: ScoreStore, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no scores of synflow on digits: `python -m bench run` makes them"):
        export(store, "digits", proxies("synflow"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_manifest_is_not_overwritten(store: ScoreStore, tmp_path: Path) -> None:
    export(store, "digits", proxies("diswot"), tmp_path)
    path = tmp_path / "digits" / "manifest.json"
    path.write_text(path.read_text()[:40])
    with pytest.raises(BadInput, match="cannot read"):
        export(store, "digits", proxies("params"), tmp_path)
    assert len(path.read_text()) == 40


# -- verify


def test_a_good_store_is_verified_row_by_row(store: ScoreStore) -> None:
    verdicts = check(store, "diswot", "params", "nwot:init=kaiming")
    assert [(verdict.proxy, verdict.compared) for verdict in verdicts] == [
        ("diswot", 16),
        ("params", 16),
        ("nwot:init=kaiming", 16),
    ]
    assert not any(verdict.differences for verdict in verdicts)


def test_a_sample_is_as_large_as_asked(store: ScoreStore) -> None:
    assert [verdict.compared for verdict in check(store, "diswot", sample=3)] == [6]


def tamper(store: ScoreStore, statement: str) -> None:
    with closing(sqlite3.connect(store.path)) as database, database:
        assert database.execute(statement).rowcount == 1


def test_one_bit_is_found(store: ScoreStore) -> None:
    row = store.scores("digits", create("diswot"))[1].rows[3]
    assert row.score is not None
    changed = math.nextafter(row.score, 0)
    setting = store.scores("digits", create("diswot"))[1].setting
    tamper(store, f"UPDATE score SET score = {changed!r} WHERE setting = {setting} AND seed = 1 AND cell = {row.cell}")
    (verdict,) = check(store, "diswot")
    (difference,) = verdict.differences
    assert (difference.seed, difference.cell, difference.stored, difference.again) == (1, row.cell, changed, row.score)


def test_a_score_that_was_made_a_failure_is_found(store: ScoreStore) -> None:
    entry = store.scores("digits", create("diswot"))[0]
    cell = entry.rows[0].cell
    where = f"WHERE setting = {entry.setting} AND seed = 0 AND cell = {cell}"
    tamper(store, f"UPDATE score SET score = NULL, status = 'error' {where}")
    (verdict,) = check(store, "diswot")
    assert [(difference.cell, difference.stored) for difference in verdict.differences] == [(cell, None)]


def test_a_difference_ends_the_command_with_1_and_is_told(store: ScoreStore, command, tmp_path: Path) -> None:
    words = ("verify", "diswot,params", "--store", store.path, "--sample", 8, "--device", "cpu")
    good = command("bench", *words)
    assert good.code == 0
    assert "diswot: 16 rows scored again, 0 differ" in good.out
    every = command("bench", "verify", "all", *words[2:])
    assert every.code == 0
    assert every.out.splitlines() == good.out.splitlines(), "all is all that the store has"
    entry = store.scores("digits", create("params"))[0]
    row = entry.rows[0]
    tamper(store, f"UPDATE score SET score = 1 WHERE setting = {entry.setting} AND seed = 0 AND cell = {row.cell}")
    bad = command("bench", *words)
    assert bad.code == 1
    assert "diswot: 16 rows scored again, 0 differ" in bad.out
    assert "params: 16 rows scored again, 1 differ" in bad.out
    assert f"cell {row.cell}, seed 0: 1.0 stored, {row.score} now" in bad.out


def test_scores_made_under_other_settings_are_refused(store: ScoreStore) -> None:
    with pytest.raises(BadInput, match=r"diswot, seed 0: stored under other settings \(batch\); score again"):
        check(store, "diswot", batch=32)
    with pytest.raises(BadInput, match=r"\(backbone\)"):
        check(store, "diswot", backbone="xautodl")
    wider = dataclasses.replace(DIGITS.skeleton, channels=4)
    with pytest.raises(BadInput, match=r"\(skeleton\)"):
        check(store, "params", skeleton=wider)


def test_scores_of_other_images_are_refused(store: ScoreStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Worker, "batch_hash", lambda self, seed: "0" * 64)
    with pytest.raises(BadInput, match=r"\(batch\)"):
        check(store, "diswot")
    (verdict,) = check(store, "params")
    assert not verdict.differences, "params reads no batch"


def test_what_was_never_scored_cannot_be_verified(store: ScoreStore) -> None:
    with pytest.raises(BadInput, match="has no scores of synflow on digits"):
        check(store, "synflow")


def test_the_identity_leaves_out_what_a_proxy_does_not_read() -> None:
    def record(text: str, **more: object) -> dict[str, object]:
        return bench.identity.settings(create(text), dataclasses.replace(DIGITS, **more), "hash")

    teacher = dataclasses.replace(DIGITS.teacher, skeleton=dataclasses.replace(DIGITS.skeleton, cells_per_stage=2))
    assert record("nwot") == record("nwot", teacher=teacher)
    assert record("diswot") != record("diswot", teacher=teacher)
    assert record("params") == record("params", batch=8, backbone="xautodl")
    assert record("synflow") == record("synflow", batch=8)
    assert record("synflow") != record("synflow", backbone="xautodl")
    assert record("nwot") != record("nwot", batch=8)
    assert record("nwot") != record("nwot:init=kaiming")
    assert record("nwot")["version"] == create("nwot").version
    assert json.loads(json.dumps(record("diswot"))) == record("diswot"), "what is stored is what is hashed"
