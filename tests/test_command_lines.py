"""Whatever is wrong is said in one line that says what to do, with the exit code that was promised; JSON is JSON."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.benchmarks import benchmark
from bench.identity import fingerprint, settings
from bench.store import Row, ScoreStore
from common.cli import parse_seeds
from common.errors import BadUsage
from distill.store import AccuracyStore
from proxies import registry
from spaces.nb201.cell import cell_at

Command = Callable[..., Any]

NO_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "diswott"], "unknown proxy 'diswott': did you mean 'diswot'"),
        (["run", "nwot,snipp"], "unknown proxy 'snipp': did you mean 'snip'"),
        (["run", ","], "no proxy named"),
        (["run", "diswot:varient=paper"], "unknown field of diswot 'varient': did you mean 'variant'"),
        (["run", "diswot:variant=papper"], "unknown variant of diswot 'papper': did you mean 'paper' or 'padded'?"),
        (["run", "diswot:paper"], "name:field=value"),
        (["run", "diswot:init=kaimming", "--limit", "2", "--workers", "1"], "did you mean 'kaiming'?"),
        (["run", "diswot", "--benchmark", "cifar1000"], "unknown benchmark 'cifar1000': did you mean 'cifar100'"),
        (["run", "diswot", "--benchmark", "mine"], "resnet-cifar100, or one of a --module FILE"),
        (["run", "diswot", "--backbone", "xautod"], "unknown backbone 'xautod': did you mean 'xautodl'?"),
        (["run", "params", "--limit", "0"], "--limit 0: must be at least 1"),
        (["run", "params", "--workers", "-2"], "--workers -2: must be at least 1"),
        (["run", "params", "--seeds", "x"], "--seeds 'x': expected numbers and ranges"),
        (
            ["run", "params", "--cells", "functoins"],
            "(all, valid, unique, functions, labelled) nor a file",
        ),
        (["run", "params", "--cells", "bad.txt"], "bad.txt, line 2: cell index 15625 is out of range"),
        (
            ["run", "params", "--cells", "table.txt"],
            "table.txt, line 1: '3.0' has a decimal point: write the index as ",
        ),
        (["show", "3."], "'3.' has a decimal point: write the index as a whole number, 3"),
        (["verify", "params", "--sample", "0"], "--sample 0: must be at least 1"),
        (["verify", "parms"], "did you mean 'params'"),
        (["export", "parms"], "did you mean 'params'"),
        (["show", "15625"], "cell index 15625 is out of range: NAS-Bench-201 has cells 0 to 15624"),
        (["show", "|none~0|+|none~0|none~1|"], "three nodes joined by '+' expected, found 2"),
        (["show", "foo"], "three nodes joined by '+' expected, found 1; or an index, 0 to 15624"),
        (["show", "|none~0|+|none~0|none~1|+|none~0|none~1|none~1|"], "must take one operation from each of 0, 1, 2"),
        (["show", "|nor_conv_5x5~0|+|none~0|none~1|+|none~0|none~1|none~2|"], "did you mean 'nor_conv_"),
    ],
)
def test_a_word_that_means_nothing_ends_with_2(
    command: Command, tmp_path: Path, words: list[str], expected: str
) -> None:
    (tmp_path / "bad.txt").write_text("3\n15625\n")
    (tmp_path / "table.txt").write_text("3.0\n")
    ended = command("bench", *words)
    assert expected in ended.error
    assert ended.code == 2
    assert ended.out == ""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "--limit", "0"], "--limit 0: must be at least 1"),
        (["run", "--benchmark", "digit"], "did you mean 'digits'?"),
        (["export", "--benchmark", "digit"], "did you mean 'digits'?"),
        (["teacher", "digit"], "did you mean 'digits'?"),
    ],
)
def test_a_word_that_means_nothing_to_distill_ends_with_2(command: Command, words: list[str], expected: str) -> None:
    ended = command("distill", *words)
    assert expected in ended.error
    assert ended.code == 2


@pytest.mark.parametrize(
    "text", ["", "x", "1-", "-1", "2-1", "1,,2", "0-2-4", "1.5", "²", "99999999999999999999", "0-1000"]
)
def test_seeds_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(BadUsage, match="--seeds"):
        parse_seeds(text)


@pytest.mark.parametrize(
    ("text", "seeds"), [("0", [0]), ("0-2", [0, 1, 2]), (" 3, 1 ", [1, 3]), ("5-6,0,5", [0, 5, 6]), ("7-7", [7])]
)
def test_seeds_are_distinct_and_ascending(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    ("words", "said", "of"),
    [
        ("bench run", "Missing argument 'proxies'", "bench run"),
        ("bench run params --nonsense", "No such option: --nonsense", "bench run"),
        ("bench run params --limit many", "Invalid value for '--limit'", "bench run"),
        ("bench rum", "No such command 'rum'. Did you mean 'run'?", "bench"),
        ("bench show", "Missing argument", "bench show"),
        ("analysis correlate", "Missing argument", "analysis correlate"),
        ("distill run extra", "Got unexpected extra argument", "distill run"),
        ("distill merge", "Missing argument", "distill merge"),
        ("distill status --limit 3", "No such option: --limit", "distill status"),
        ("diswot_bench run params --seeds", "Option '--seeds' requires an argument", ""),
    ],
)
def test_options_and_arguments_that_do_not_exist_end_with_2_and_a_line(
    command: Command, words: str, said: str, of: str
) -> None:
    ended = command(*words.split())
    assert (ended.code, ended.out) == (2, "")
    assert ended.error.startswith(said)
    assert ended.error.endswith(f"{of} --help` tells what there is" if of else said)


@pytest.mark.slow
@pytest.mark.parametrize("package", ["bench", "analysis", "distill"])
def test_a_command_without_a_word_shows_its_help_and_ends_with_2(command: Command, package: str) -> None:
    ended = command(package)
    assert (ended.code, ended.err) == (2, "")
    assert "Usage: " in ended.out
    assert "Commands" in ended.out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "params", "--data", "nowhere"], "--data nowhere: no such folder"),
        (["verify", "params", "--data", "nowhere"], "--data nowhere: no such folder"),
        (["run", "nwot", "--benchmark", "cifar100", "--data", "empty"], "no cifar100 in empty"),
        (["run", "nwot", "--benchmark", "imagenet16-120", "--data", "empty"], "empty"),
        (["run", "params", "--device", "tpu"], "--device tpu: expected auto, cpu or cuda"),
        (["run", "params", "--cells", "none.txt"], "none.txt names no cell"),
        (["run", "params", "--cells", "binary.txt"], "binary.txt"),
        (["status"], "no store at results/store/scores.sqlite"),
        (["export", "params"], "no store at results/store/scores.sqlite"),
        (["verify", "params", "--store", "other.sqlite"], "no store at other.sqlite"),
        pytest.param(["run", "params", "--device", "cuda"], "no CUDA device on this machine", marks=NO_CUDA),
        pytest.param(["run", "params", "--device", "cuda:1"], "no CUDA device on this machine", marks=NO_CUDA),
    ],
)
def test_what_is_not_there_ends_with_1(command: Command, tmp_path: Path, words: list[str], expected: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "none.txt").write_text("# none\n")
    (tmp_path / "binary.txt").write_bytes(b"\x89PNG\xff\n")
    ended = command("bench", *words)
    assert expected in ended.error
    assert ended.code == 1


# -- stores that cannot be used


def a_store(path: Path, rows: int = 3) -> None:
    store = ScoreStore(path)
    record = settings(registry.create("params"), benchmark("digits"), None)
    number = store.setting(fingerprint(record), "digits", "params", record)
    run = store.start_run("now", {}, [(number, 0, "all", rows)])
    store.add(run, [Row(number, 0, cell, 1.0, "ok", "") for cell in range(rows)])
    store.close()


def newer(path: Path) -> None:
    a_store(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")


def damaged(path: Path) -> None:
    a_store(path, 3000)
    data = bytearray(path.read_bytes())
    half = len(data) // 8192 * 4096
    data[half:] = b"\xa5" * (len(data) - half)
    path.write_bytes(data)


BAD_STORES: list[tuple[Callable[[Path], Any], str]] = [
    (newer, "was made by a newer version (format 99, this program writes 2): update"),
    (Path.mkdir, "is a folder: name a file with --store"),
    (lambda path: path.write_text("cell,score\n" * 500), "cannot use bad.sqlite as a store"),
    (lambda path: path.write_bytes(b"SQLite format 3\x00"), "bad.sqlite"),
    (damaged, "malformed"),
    (AccuracyStore, "bad.sqlite"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("make", "expected"), BAD_STORES)
@pytest.mark.parametrize(
    "words", [["status"], ["run", "params", "--limit", "2", "--workers", "1"], ["show", "3"], ["verify", "params"]]
)
def test_a_store_that_cannot_be_used_ends_with_1(
    command: Command, tmp_path: Path, make: Callable[[Path], Any], expected: str, words: list[str]
) -> None:
    make(tmp_path / "bad.sqlite")
    if make is damaged and words[0] == "show":
        pytest.skip("the damaged page is not read")
    ended = command("bench", *words, "--store", "bad.sqlite")
    assert expected in ended.error
    assert ended.code == 1


# -- data


@pytest.mark.slow
def test_a_truncated_parquet_file_ends_with_1(command: Command, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from PIL import Image
    from pyarrow import parquet

    pictures = []
    for number in range(200):
        buffer = io.BytesIO()
        Image.effect_noise((32, 32), 50 + number / 10).convert("RGB").save(buffer, "PNG")
        pictures.append({"bytes": buffer.getvalue(), "path": None})
    labels = [number % 100 for number in range(200)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {"img": pa.array(pictures, kind), "fine_label": labels, "coarse_label": [label // 5 for label in labels]}
    folder = tmp_path / "data" / "cifar100"
    folder.mkdir(parents=True)
    for part in ("train", "test"):
        parquet.write_table(pa.table(columns), folder / f"{part}-00000-of-00001.parquet")
    words = ["run", "diswot", "--benchmark", "cifar100", "--data", "data", "--limit", "1", "--workers", "1"]
    whole = folder / "train-00000-of-00001.parquet"
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) // 2])
    ended = command("bench", *words)
    assert "cannot read data/cifar100/train-00000-of-00001.parquet" in ended.error
    assert "get the file again" in ended.error
    assert ended.code == 1


# -- proxies in files of the user's


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "mine.py: no such file"),
        ("import no_such_package", "mine.py: ModuleNotFoundError: No module named 'no_such_package'"),
        ("def broken(:\n", "mine.py: SyntaxError"),
        ("raise ValueError('two\\nlines')", "mine.py: ValueError: two lines"),
        ("score = 1", "mine.py: defines no proxy, data set, space or benchmark"),
        ("from proxies.nwot import NWOT", "mine.py: defines no proxy, data set, space or benchmark"),
        ("from proxies.nwot import NWOT\nclass Mine(NWOT): pass", "Mine needs the decorator @dataclass(frozen=True)"),
    ],
)
def test_a_proxy_module_that_cannot_be_used_ends_with_1(
    command: Command, tmp_path: Path, text: str | None, expected: str
) -> None:
    if text is not None:
        (tmp_path / "mine.py").write_text(text)
    for words in (["run", "mine", "--proxy-module"], ["list", "--module"]):
        ended = command("bench", *words, "mine.py")
        assert expected in ended.error
        assert ended.code == 1


# -- analysis


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Accuracies of twelve cells."""
    lines = [f"{cell},{50 + (cell * 37) % 11}.5" for cell in range(12)]
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(["cell,accuracy", *lines]) + "\n")
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "code", "expected"),
    [
        ("cell,acc\n1,2\n", 1, "has no accuracy column: expected one of accuracy, test, found cell, acc"),
        ("net,accuracy\n1,2\n", 1, "has no cell column"),
        ("cell,accuracy\n1,2\n99999,3\n", 1, "labels.csv, line 3, column 'cell': cell index 99999 is out of range"),
        ("cell,accuracy\n1,good\n", 1, "labels.csv, line 2, column 'accuracy': 'good' is not a number"),
        ("cell,accuracy\n1,2\n1,3\n", 1, "more than once"),
        ("", 1, "cannot read"),
        ("cell,accuracy\n1,2\n1,2,3\n", 1, "labels.csv (line 3 has 3 values, and line 1 names 2 columns): expected"),
        ("cell,accuracy\n1,91,5\n2,92,3\n", 1, "labels.csv (lines have more values than line 1 names columns: write"),
        ("cell;accuracy\n1;91,5\n", 1, "(line 1: its columns are separated by semicolons: write commas, and points"),
        ("cell\taccuracy\n1\t91.5\n", 1, "(line 1: its columns are separated by tabs: "),
        ("cell,accuracy\n1,2\n3.0,4\n", 1, "line 3, column 'cell': '3.0' has a decimal point: write the index as a "),
        ("cell,accuracy\n1,2\n,4\n", 1, "labels.csv, line 3, column 'cell': is empty: name a cell, or leave the line"),
        (None, 2, "neither distilled, vanilla, gain nor a file"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(
    command: Command, tmp_path: Path, content: str | None, code: int, expected: str
) -> None:
    if content is not None:
        (tmp_path / "labels.csv").write_text(content)
    ended = command("analysis", "correlate", "params", "--against", "labels.csv")
    assert expected in ended.error
    assert ended.code == code


@pytest.mark.slow
def test_without_scores_the_command_that_makes_them_is_named(command: Command, tmp_path: Path, labels: Path) -> None:
    ended = command("analysis", "correlate", "diswot", "--against", labels)
    assert "no store at" in ended.error
    a_store(tmp_path / "s.sqlite")
    ended = command("analysis", "correlate", "diswot", "--against", labels, "--store", "s.sqlite")
    assert "run `python -m bench run diswot --benchmark digits` first" in ended.error
    assert ended.code == 1


@pytest.mark.slow
def test_an_unknown_name_ends_analysis_with_2(command: Command, labels: Path) -> None:
    for words in (["diswott"], ["params", "--benchmark", "digit"], ["params", "--cells", "functoins"]):
        ended = command("analysis", "correlate", *words, "--against", labels)
        assert ended.error
        assert ended.code == 2


# -- JSON


def array(ended: Any) -> list[dict[str, Any]]:
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert isinstance(found, list)
    assert found
    return found


def test_list_is_one_json_array(command: Command) -> None:
    entries = array(command("bench", "list", "--json"))
    for entry in entries:
        assert set(entry) == {"name", "version", "family", "init", "sees", "reference"}
        assert isinstance(entry["version"], int)
        assert {"title", "year", "arxiv", "bibtex"} <= set(entry["reference"])
    names = [entry["name"] for entry in entries]
    assert names == sorted(set(names))
    assert {"diswot", "nwot", "snip", "synflow", "grad_norm", "params", "flops"} <= set(names)


@pytest.mark.slow
def test_status_and_correlate_are_one_json_array_each(command: Command, tmp_path: Path, labels: Path) -> None:
    (tmp_path / "cells.txt").write_text("\n".join(map(str, range(12))))
    ran = command("bench", "run", "nwot,params", "--cells", "cells.txt", "--seeds", "0-1", "--workers", 1)
    assert ran.code in (0, 3), ran.err
    entries = array(command("bench", "status", "--json"))
    assert [(entry["proxy"], entry["seed"]) for entry in entries] == [
        ("nwot", 0), ("nwot", 1), ("params", 0), ("params", 1),
    ]  # fmt: skip
    for entry in entries:
        assert set(entry) == {"proxy", "benchmark", "seed", "cells", "wanted", "ok", "failed"}
        assert (entry["benchmark"], entry["cells"], entry["wanted"]) == ("digits", "cells.txt", 12)
        assert entry["ok"] + entry["failed"] == 12

    found = array(command("analysis", "correlate", "nwot", "--against", labels, "--json"))
    assert [entry["proxy"] for entry in found] == ["nwot", "params", "flops"]
    for entry in found:
        assert set(entry) >= {
            "proxy", "benchmark", "against", "cells", "n", "coverage",
            "kendall", "spearman", "pearson", "spearman_low", "spearman_high", "seeds",
        }  # fmt: skip
        assert -1 <= entry["spearman_low"] <= entry["spearman"] <= entry["spearman_high"] <= 1
    assert found[0]["seeds"] == [0, 1]
    assert found[1]["n"] == 12
    assert found[1]["coverage"] == 1.0

    (shown,) = array(command("bench", "show", 3, "--json"))
    assert (shown["cell"], shown["string"]) == (3, str(cell_at(3)))
    assert len(shown["scores"]) == 4


@pytest.mark.slow
def test_tables_for_people_name_everything(command: Command, tmp_path: Path) -> None:
    a_store(tmp_path / "s.sqlite")
    listed, status = command("bench", "list"), command("bench", "status", "--store", "s.sqlite")
    assert "diswot" in listed.out
    assert "Neural Architecture Search without Training (2021)" in listed.out
    assert status.out.split()[:7] == ["proxy", "benchmark", "seed", "cells", "wanted", "ok", "failed"]
    shown = command("bench", "show", str(cell_at(2)), "--store", "s.sqlite")
    assert f"cell 2: {cell_at(2)}" in shown.out
    assert "params" in shown.out
    assert "no scores in other.sqlite" in command("bench", "show", 2, "--store", "other.sqlite").out


# -- real processes: what a shell sees


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "words", "code", "expected"),
    [
        ("bench", ["run", "diswott"], 2, "did you mean 'diswot'"),
        ("bench", ["show", "|none~0|"], 2, "malformed cell"),
        ("bench", ["status"], 1, "no store at"),
        ("analysis", ["correlate", "params", "--benchmark", "digit"], 2, "did you mean 'digits'?"),
    ],
)
def test_a_shell_sees_one_line_and_the_exit_code(
    process: Command, package: str, words: list[str], code: int, expected: str
) -> None:
    ended = process(package, *words)
    assert ended.err.count("\n") == 1
    assert expected in ended.error
    assert (ended.code, ended.out) == (code, "")


@pytest.mark.slow
def test_a_shell_sees_json_and_nothing_else(process: Command) -> None:
    ended = process("bench", "list", "--json")
    assert array(ended)
    assert ended.err == ""
