"""Scores that no run writes come in by no door: stores and published folders that hold them are refused, in a line
that names the row, and nothing of them is taken.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bench.benchmarks import benchmark
from bench.identity import fingerprint, settings
from bench.published import export
from bench.store import Row, ScoreStore
from common.errors import BadInput
from common.files import gzip_bytes
from diswot_bench import stored
from proxies import registry
from tests.conftest import Command

Spoil = Callable[[sqlite3.Connection], object]


def fill(path: Path, *labels: str) -> Path:
    """A store with rows of cells 0 to 5, one of them without a score, seed 0."""
    store = ScoreStore(path)
    for label in labels:
        record = settings(registry.create(label), benchmark("digits"), "0" * 64)
        number = store.setting(fingerprint(record), "digits", label, record)
        run = store.start_run("2026-01-01", {"host": "there"}, [(number, 0, "all", 6)])
        rows = [Row(number, 0, cell, 1.0 + cell, "ok", "") for cell in range(5)]
        store.add(run, [*rows, Row(number, 0, 5, None, "nonfinite", "-inf")])
    store.close()
    return path


def row(change: str, where: str = "cell = 3") -> Spoil:
    """Change rows; the checks of the schema are off, as they are for whoever edits the file."""
    return lambda database: database.execute(f"UPDATE score SET {change} WHERE {where}")


def setting(change: str) -> Spoil:
    return lambda database: database.execute(f"UPDATE setting SET {change}")


def of_record(**change: Any) -> Spoil:
    """Another record, with its own fingerprint."""

    def spoil(database: sqlite3.Connection) -> None:
        ((text,),) = database.execute("SELECT record FROM setting")
        record = json.loads(text) | change
        values = (json.dumps({key: value for key, value in record.items() if value is not None}, sort_keys=True),)
        found = fingerprint(json.loads(values[0]))
        database.execute("UPDATE setting SET record = ?, fingerprint = ?", (*values, found))

    return spoil


ROWS: dict[str, tuple[Spoil, str]] = {
    "a cell outside the space": (row("cell = 99999999"), "cell 99999999 is none of 0 to 15624"),
    "a cell below 0": (row("cell = -1"), "cell -1 is none of 0 to 15624"),
    "a cell in words": (row("cell = 'three'"), "cell 'three' is none of 0 to 15624"),
    "a cell and a half": (row("cell = 3.5"), "cell 3.5 is none of 0 to 15624"),
    "infinity": (row("score = 9e999"), "seed 0: status 'ok' with inf, which is no finite number"),
    "minus infinity": (row("score = -9e999"), "status 'ok' with -inf"),
    "text": (row("score = 'high'"), "status 'ok' with 'high', which is no finite number"),
    "bytes": (row("score = x'00ff'"), r"status 'ok' with b'\x00\xff'"),
    "no score": (row("score = NULL"), "cell 3, seed 0: status 'ok' with None"),
    "a score that failed": (row("score = 2.5", "status = 'nonfinite'"), "status 'nonfinite' with a score, 2.5"),
    "a status that does not exist": (row("status = 'fine'"), "status 'fine' is none of ok, nonfinite"),
    "an empty status": (row("status = '', score = NULL"), "status '' is none of ok"),
    "a reason in bytes": (row("reason = x'00'", "cell = 5"), "reason b'\\x00' is no text"),
}
"""What rows can hold that no run writes, and what is said of it wherever it is read."""

SETTINGS: dict[str, tuple[Spoil, str]] = {
    "an unknown benchmark": (setting("benchmark = 'digit'"), "unknown benchmark 'digit': did you mean 'digits'?"),
    "a fingerprint of nothing": (setting("fingerprint = 'f'"), "the fingerprint of nwot is not that of its record"),
    "another proxy": (of_record(proxy="snip"), "the record of nwot is that of another proxy"),
    "other fields": (of_record(fields={"init": "kaiming"}), "the record of nwot is that of another proxy"),
    "no name": (setting("proxy = ''"), "'' is no name of a proxy"),
    "a name that leads out": (setting("proxy = '../../nwot'"), "'../../nwot' is no name of a proxy"),
    "a name with markup": (setting("proxy = '<b>nwot</b>'"), "'<b>nwot</b>' is no name of a proxy"),
    "a name in two lines": (setting("proxy = 'nwot:init=a' || char(10) || 'b'"), "is no name of a proxy"),
    "no fields": (of_record(fields=None), "the record of nwot does not say what was scored"),
    "a seed below 0": (row("seed = -1"), "seed -1 is no whole number from 0"),
    "a seed in words": (row("seed = 'one'"), "seed 'one' is no whole number from 0"),
}
"""What is asked of a store beside that before it is merged."""

RECORDS: dict[str, tuple[Spoil, str]] = {
    "half a record": (setting("""record = '{"version": 1,'"""), "has a damaged record of nwot on digits"),
    "no object": (setting("record = '[1]'"), "has a damaged record of nwot on digits"),
    "a number": (setting("record = 3"), "has a damaged record of nwot on digits"),
    "bytes": (setting("record = x'ff'"), "has a damaged record of nwot on digits"),
    "deep brackets": (setting(f"record = '{'[' * 9000}'"), "has a damaged record of nwot on digits"),
    "no version": (of_record(version=None), "it does not say what was scored"),
    "no epoch": (of_record(code_epoch=None), "it does not say what was scored"),
    "a teacher in words": (of_record(teacher="mine"), "has a teacher that cannot be read"),
    "a teacher without a cell": (of_record(teacher={"skeleton": {}}), "has a teacher that cannot be read"),
    "a teacher that is no cell": (of_record(teacher={"cell": "|"}), "has a teacher that cannot be read"),
}
"""What no command makes sense of."""


def spoiled(path: Path, spoil: Spoil) -> Path:
    fill(path, "nwot")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA ignore_check_constraints = ON")
        spoil(database)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("case", [*ROWS, *SETTINGS, *RECORDS])
def test_nothing_of_it_is_merged(command: Command, tmp_path: Path, case: str) -> None:
    spoil, expected = (ROWS | SETTINGS | RECORDS)[case]
    spoiled(tmp_path / "theirs.sqlite", spoil)
    ended = command("bench", "merge", "theirs.sqlite", "--store", "ours.sqlite")
    assert ended.error.startswith("theirs.sqlite")
    assert expected in ended.error
    assert (ended.code, ended.out) == (1, "")
    assert ScoreStore(tmp_path / "ours.sqlite").overview() == []


@pytest.mark.slow
@pytest.mark.parametrize("case", ROWS)
def test_no_command_reads_it(command: Command, tmp_path: Path, case: str) -> None:
    spoil, expected = ROWS[case]
    spoiled(tmp_path / "s.sqlite", spoil)
    (tmp_path / "labels.csv").write_text("cell,accuracy\n" + "".join(f"{cell},{50 + cell}\n" for cell in range(9)))
    for package, words in (
        ("bench", ["export", "nwot", "--output", "out"]),
        ("bench", ["diff", "s.sqlite", "nwot"]),
        ("analysis", ["correlate", "nwot", "--against", "labels.csv"]),
    ):
        ended = command(package, *words, "--store", "s.sqlite")
        assert expected in ended.error
        assert ended.error.startswith("s.sqlite, nwot on digits, cell ")
        assert (ended.code, ended.out) == (1, "")
    shown = command(
        "bench",
        "show",
        5 if case in ("a reason in bytes", "a score that failed") else 3,
        "--json",
        "--store",
        "s.sqlite",
    )
    assert "cell" in case or expected in shown.error  # else the row is not of a cell that can be shown
    with pytest.raises(BadInput):
        stored.scores("digits", "nwot", store=tmp_path / "s.sqlite")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("case", RECORDS)
def test_no_command_reads_a_damaged_record(command: Command, tmp_path: Path, case: str) -> None:
    spoil, expected = RECORDS[case]
    spoiled(tmp_path / "s.sqlite", spoil)
    for words in (["status"], ["status", "--json"], ["show", "3"], ["export", "nwot"], ["diff", "s.sqlite", "nwot"]):
        ended = command("bench", *words, "--store", "s.sqlite")
        assert expected in ended.error
        assert (ended.code, ended.out) == (1, "")


ORPHANS: dict[str, tuple[str, str]] = {
    "scores of no setting": (
        "UPDATE score SET setting = 7 WHERE cell > 3",
        "2 in 'score' of a setting that is not there, the first with setting 7, seed 0, cell 4: ",
    ),
    "scores of no run": (
        "UPDATE score SET run = 9 WHERE cell = 2",
        "1 in 'score' of a run that is not there, the first with setting 1, seed 0, cell 2: ",
    ),
    "scores of a setting in words": (
        "UPDATE score SET setting = 'x'",
        "6 in 'score' of a setting that is not there, the first with setting 'x', seed 0, cell 0: ",
    ),
    "requests of no setting": (
        "UPDATE request SET setting = 7",
        "1 in 'request' of a setting that is not there, the first with setting 7, seed 0, run 1: ",
    ),
    "requests of no run": (
        "UPDATE request SET run = 9",
        "1 in 'request' of a run that is not there, the first with setting 1, seed 0, run 9: ",
    ),
    "sources of no setting": (
        "INSERT INTO source VALUES (7, 'it', 'h')",
        "1 in 'source' of a setting that is not there, the first with setting 7, what 'it': ",
    ),
    "no settings": ("DELETE FROM setting", "6 in 'score' of a setting that is not there, the first with setting 1, "),
    "no runs": (
        "DELETE FROM run",
        "; 6 in 'score' of a run that is not there, the first with setting 1, seed 0, cell 0: ",
    ),
}
"""What leaves rows without what they belong to, and how they are named."""
LEFT = {"scores of no setting": 4, "scores of no run": 5} | dict.fromkeys(list(ORPHANS)[3:6], 6)
"""How many scores are left without them."""
EVERY = (
    ["status"],
    ["status", "--json"],
    ["show", "3"],
    ["export", "nwot"],
    ["diff", "sound.sqlite", "nwot"],
    ["verify", "nwot"],
    ["run", "params", "--limit", "1"],
    ["merge", "sound.sqlite"],
)


@pytest.mark.slow
@pytest.mark.parametrize("case", ORPHANS)
def test_rows_that_belong_to_nothing_are_named_and_given_to_nobody(command: Command, tmp_path: Path, case: str) -> None:
    statement, said = ORPHANS[case]
    spoiled(tmp_path / "s.sqlite", lambda database: database.execute(statement))
    fill(tmp_path / "sound.sqlite", "params")
    commands = [["bench", *words, "--store", "s.sqlite"] for words in EVERY]
    commands += [
        ["bench", "merge", "s.sqlite", "--store", "ours.sqlite"],
        ["bench", "diff", "s.sqlite", "--store", "sound.sqlite"],
    ]
    for words in (*commands, ["analysis", "correlate", "nwot", "--store", "s.sqlite"]):
        ended = command(*words)
        assert ended.error.startswith("s.sqlite has rows that belong to nothing, ")
        assert said in ended.error
        assert (ended.code, ended.out) == (1, "")
    assert ScoreStore(tmp_path / "ours.sqlite").overview() == []
    with pytest.raises(BadInput):
        stored.scores("digits", "nwot", store=tmp_path / "s.sqlite")


@pytest.mark.parametrize("case", ORPHANS)
def test_the_advice_about_rows_that_belong_to_nothing_makes_the_store_sound(tmp_path: Path, case: str) -> None:
    path = spoiled(tmp_path / "s.sqlite", lambda database: database.execute(ORPHANS[case][0]))
    with pytest.raises(BadInput) as told:
        ScoreStore(path, write=False)
    _, statements, _ = str(told.value).split('"')
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(statements)
    sound = ScoreStore(path, write=False)
    sound.check()
    sound.check_content()
    assert len(sound.rows(1, 0)) == LEFT.get(case, 0)


@pytest.mark.slow
def test_a_request_that_no_run_makes_is_told(command: Command, tmp_path: Path) -> None:
    spoiled(tmp_path / "s.sqlite", lambda database: database.execute("UPDATE request SET cells = x'00'"))
    for words in (["status", "--store", "s.sqlite"], ["merge", "s.sqlite", "--store", "ours.sqlite"]):
        ended = command("bench", *words)
        assert ended.error.startswith("s.sqlite has a damaged request of nwot on digits")
        assert (ended.code, ended.out) == (1, "")


# -- published folders

Line = dict[str, str]


def change(**values: str) -> Callable[[list[Line]], object]:
    """Of the line of cell 3."""
    return lambda lines: lines[3].update(values)


LINES: dict[str, tuple[Callable[[list[Line]], object], str]] = {
    "a cell outside the space": (change(cell="99999999"), "cell 99999999 is none of 0 to 15624"),
    "a cell in words": (change(cell="three"), "three"),
    "a cell in other digits": (change(cell="³"), "³"),
    "a cell and a half": (change(cell="3.5"), "3.5"),
    "no cell": (change(cell=""), "cell"),
    "a seed below 0": (change(seed="-1"), "seed"),
    "infinity": (change(score="inf"), "status 'ok' with inf, which is no finite number"),
    "a number beyond float": (change(score="1e999"), "status 'ok' with inf"),
    "not a number": (change(score="nan"), "which is no finite number"),
    "text": (change(score="high"), "high"),
    "no score": (change(score=""), "status 'ok' with None"),
    "a score that failed": (change(status="error"), "status 'error' with a score, 4.0"),
    "a status that does not exist": (change(status="fine"), "status 'fine' is none of ok, nonfinite"),
    "two rows of a cell": (lambda lines: lines.append(dict(lines[3])), "3"),
    "a seed of which nothing is said": (lambda lines: [line.update(seed="7") for line in lines], "seed"),
    "a column too few": (lambda lines: [line.pop("reason") for line in lines], "reason"),
}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of published scores of nwot and params."""
    folder = tmp_path_factory.mktemp("published")
    store = ScoreStore(fill(folder / "s.sqlite", "nwot", "params"), write=False)
    export(store, "digits", [registry.create("nwot"), registry.create("params")], folder)
    return folder / "digits"


def copied(published: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    """A copy of the folder that can be changed, and its manifest."""
    place = folder / "scores" / "digits"
    place.mkdir(parents=True)
    for path in published.iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    return place, json.loads((place / "manifest.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("case", LINES)
def test_no_published_row_that_no_run_writes_is_restored_or_tabled(
    command: Command, tmp_path: Path, published: Path, case: str
) -> None:
    spoil, expected = LINES[case]
    place, manifest = copied(published, tmp_path)
    path = place / "nwot.csv.gz"
    lines = list(csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode())))
    spoil(lines)
    text = io.StringIO()
    writer = csv.DictWriter(text, lines[0])
    writer.writeheader()
    writer.writerows(lines)
    path.write_bytes(gzip_bytes(text.getvalue().encode()))
    manifest["nwot.csv.gz"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (place / "manifest.json").write_text(json.dumps(manifest))
    ended = command("bench", "merge", "scores/digits", "--store", "ours.sqlite")
    assert expected in ended.error
    assert "scores/digits" in ended.error
    assert ended.code == 1
    assert ScoreStore(tmp_path / "ours.sqlite").overview() == []
    if case != "a seed of which nothing is said":  # to the tables all seeds are alike
        with pytest.raises(BadInput, match=r"cannot read .*nwot\.csv\.gz"):
            _tabled(tmp_path)


def _tabled(folder: Path) -> object:
    from analysis.read.scores import published

    return published(folder / "scores", "digits")


ENTRIES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another hash": (
        lambda manifest: manifest["nwot.csv.gz"].update(sha256="0" * 64),
        "not the file that its",
    ),
    "no proxy": (lambda manifest: manifest["nwot.csv.gz"].pop("proxy"), "does not say what nwot.csv.gz holds"),
    "a proxy that is a number": (lambda manifest: manifest["nwot.csv.gz"].update(proxy=3), "does not say what"),
    "a list": (lambda manifest: manifest.update({"nwot.csv.gz": [1]}), "does not say what nwot.csv.gz holds"),
    "one proxy twice": (lambda manifest: manifest["nwot.csv.gz"].update(proxy="params"), "are both of params"),
    "a file elsewhere": (
        lambda manifest: manifest.update({"../../x.csv.gz": manifest.pop("nwot.csv.gz")}),
        "'../../x.csv.gz' is no file of scores in this folder",
    ),
    "a file of another kind": (
        lambda manifest: manifest.update({"nwot.txt": manifest.pop("nwot.csv.gz")}),
        "'nwot.txt' is no file of scores in this folder",
    ),
    "another fingerprint": (
        lambda manifest: manifest["nwot.csv.gz"]["settings"]["0"].update(fingerprint="1" * 64),
        "the fingerprint of nwot is not that of its record",
    ),
    "another record": (
        lambda manifest: manifest["nwot.csv.gz"]["settings"]["0"]["record"].update(version=2),
        "the fingerprint of nwot is not that of its record",
    ),
    "no record": (lambda manifest: manifest["nwot.csv.gz"]["settings"]["0"].pop("record"), "record"),
    "settings in a list": (lambda manifest: manifest["nwot.csv.gz"].update(settings=[1]), "scores/digits"),
    "a proxy of another name": (
        lambda manifest: manifest["nwot.csv.gz"].update(proxy="snip"),
        "the record of snip is that of another proxy",
    ),
}


FOR_STORES = ("another fingerprint", "another record", "no record", "settings in a list", "a proxy of another name")
"""What only a store has to know: tables read the rows, and the hash of the file that they are in."""


@pytest.mark.parametrize("case", ENTRIES)
def test_no_manifest_that_no_export_writes_is_restored_or_tabled(
    command: Command, tmp_path: Path, published: Path, case: str
) -> None:
    spoil, expected = ENTRIES[case]
    place, manifest = copied(published, tmp_path)
    spoil(manifest)
    (place / "manifest.json").write_text(json.dumps(manifest))
    ended = command("bench", "merge", "scores/digits", "--store", "ours.sqlite")
    assert expected in ended.error
    assert ended.code == 1
    assert ScoreStore(tmp_path / "ours.sqlite").overview() == []
    if case not in FOR_STORES:
        with pytest.raises(BadInput, match="scores/digits"):
            _tabled(tmp_path)


@pytest.mark.slow
def test_what_is_sound_is_restored_and_tabled(command: Command, tmp_path: Path, published: Path) -> None:
    copied(published, tmp_path)
    assert command("bench", "merge", "scores/digits", "--store", "ours.sqlite").code == 0
    assert command("bench", "merge", "ours.sqlite", "--store", "again.sqlite").code == 0
    assert len(ScoreStore(tmp_path / "again.sqlite", write=False).overview()) == 2
    assert set(_tabled(tmp_path)) == {"nwot", "params"}  # type: ignore[call-overload]
