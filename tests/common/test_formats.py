"""Files of results: they come back as they were written, the same rows give the same bytes, and one error fits all."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from conftest import ROOT

from common.errors import BadInput
from common.formats import (
    read_csv,
    read_json,
    read_records,
    read_tensors,
    read_text,
    reading,
    write_csv,
    write_json,
    write_records,
    write_tensors,
    write_text,
)

ROWS = [
    {"cell": 3, "score": 0.1 + 0.2, "reason": 'a "quoted", one'},
    {"cell": 15624, "score": None, "reason": ""},
    {"cell": 0, "score": 1e-300, "reason": "two\nlines – é"},
]


def test_records_are_what_the_csv_module_writes_and_reads(tmp_path: Path) -> None:
    expected = io.StringIO()
    writer = csv.writer(expected, lineterminator="\n")
    writer.writerow(ROWS[0])
    writer.writerows([row.values() for row in ROWS])
    for name in ("a.csv", "a.csv.gz"):
        content = write_records(tmp_path / name, ROWS)
        assert (tmp_path / name).read_bytes() == content
        plain = gzip.decompress(content) if name.endswith(".gz") else content
        assert plain.decode() == expected.getvalue()
        found = read_records(tmp_path / name)
        assert [row["reason"] for row in found] == [row["reason"] for row in ROWS]
        assert float(found[0]["score"]) == ROWS[0]["score"]
        assert found[1]["score"] == ""
    assert content == write_records(tmp_path / "b.csv.gz", ROWS), "neither time nor name is in it"


@pytest.mark.slow
def test_records_need_no_pandas(tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from common.formats import read_json, read_records, write_json, write_records
write_records(Path({str(tmp_path)!r}) / "a.csv", [{{"a": 1}}])
assert read_records(Path({str(tmp_path)!r}) / "a.csv") == [{{"a": "1"}}]
assert not {{"pandas", "torch"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=600)


def test_a_frame_comes_back_and_has_the_bytes_of_pandas(tmp_path: Path) -> None:
    frame = pd.DataFrame({"proxy": ["a", "b,c"], "spearman": [0.12345, math.nan], "n": [1000, 7]})
    for name in ("new/a.csv", "new/a.csv.gz"):
        write_csv(tmp_path / name, frame, float_format="%.3f")
        data = (tmp_path / name).read_bytes()
        plain = gzip.decompress(data) if name.endswith(".gz") else data
        assert plain == b'proxy,spearman,n\na,0.123,1000\n"b,c",,7\n'
        found = read_csv(tmp_path / name, columns=("n", "proxy"), dtype={"proxy": str})
        pd.testing.assert_frame_equal(found, frame.round(3))


def test_json_text_and_tensors_come_back(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": [1, None], "a": "é"})
    assert (tmp_path / "a.json").read_text() == json.dumps({"a": "é", "b": [1, None]}, indent=2) + "\n"
    assert read_json(tmp_path / "a.json", keys=("a",)) == {"a": "é", "b": [1, None]}
    write_text(tmp_path / "a.md", "– é\n")
    assert (tmp_path / "a.md").read_bytes() == "– é\n".encode()
    assert read_text(tmp_path / "a.md") == "– é\n"
    write_tensors(tmp_path / "a.pt", {"weight": torch.arange(3)})
    assert read_tensors(tmp_path / "a.pt", keys=("weight",))["weight"].tolist() == [0, 1, 2]


READERS: dict[str, Callable[..., Any]] = {
    "json": read_json,
    "csv": read_csv,
    "csv.gz": read_csv,
    "records": read_records,
    "records.gz": read_records,
    "text": read_text,
    "pt": read_tensors,
}


NO_TEXT = {
    "a,é\n1,2\n".encode("latin-1"): "it is no text in UTF-8, invalid continuation byte at byte 2: save it as UTF-8",
    codecs.BOM_UTF16_LE + b"a": "it is no text in UTF-16, truncated data at byte 2: save it as UTF-8",
    codecs.BOM_UTF32_BE + b"a": "it is no text in UTF-32, truncated data at byte 4: save it as UTF-8",
    "a,b\n1,2\n".encode("utf-16-le"): "as UTF-16 does that lacks its byte-order mark: save it as UTF-8",
}
"""What no reader takes for text, and what all of them say of it."""


@pytest.mark.parametrize("ending", READERS)
def test_a_missing_file_is_one_line_that_names_it_once(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"none.{ending}"
    with pytest.raises(BadInput) as caught:
        READERS[ending](path, "make it again")
    assert str(caught.value) == f"cannot read {path} (No such file or directory): make it again"
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("ending", "content", "why"),
    [
        ("json", b"{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("json", b"[1]", "list in place of an object"),
        ("json", b"[" * 100_000, "maximum recursion depth exceeded"),
        ("json", b'{"b": 1}', "no 'a'"),
        ("csv", b"", "No columns to parse from file"),
        ("csv", b"b,c\n1,2\n", "no column 'a'"),
        ("csv", b"a,c\n1,2\n1,2,3\n", "line 3 has 3 values, and line 1 names 2 columns"),
        ("csv.gz", gzip.compress(b"a\n1\n", mtime=0)[:-9], "Compressed file ended"),
        ("csv.gz", b"a\n1\n", "Not a gzipped file"),
        ("records.gz", gzip.compress(b"a\n1\n" * 99, mtime=0)[:-20], "Compressed file ended"),
        ("records", b"", "it is empty"),
        ("records", b"a,b\n1,2\n1\n", "2 columns, and a row of 1"),
        ("records", b"\xff\xfe", "it is empty"),
        *((ending, content, why) for ending in ("records", "csv", "text", "json") for content, why in NO_TEXT.items()),
        ("pt", b"", "PyTorch cannot load it"),
        ("pt", b"no archive", "PyTorch cannot load it"),
    ],
)
def test_a_damaged_file_is_one_line_of_the_same_shape(ending: str, content: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / f"bad.{ending}"
    path.write_bytes(content)
    wanted = {"json": "keys", "pt": "keys", "csv": "columns", "csv.gz": "columns"}
    names = {wanted[ending]: ("a",)} if ending in wanted else {}
    with pytest.raises(BadInput) as caught:
        READERS[ending](path, "make it again", **names)
    line = str(caught.value)
    assert line.startswith(f"cannot read {path} (")
    assert line.endswith("): make it again")
    assert why in line
    assert "\n" not in line


def test_tensors_that_would_run_something_are_refused_without_advice_to_trust_them(tmp_path: Path) -> None:
    torch.save({"a": subprocess.run}, tmp_path / "a.pt")
    with pytest.raises(BadInput, match=r"\(PyTorch cannot load it\): restore it$"):
        read_tensors(tmp_path / "a.pt")


def test_what_is_wrong_with_a_value_is_told_in_the_same_way(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with pytest.raises(BadInput, match=r"cannot read .*a\.json \(no 'hash'\): do that"), reading(path, "do that"):
        dict[str, str]()["hash"]
    with pytest.raises(BadInput, match="as it was"), reading(path, "do that"):
        raise BadInput("as it was")
    with pytest.raises(ZeroDivisionError), reading(path, "do that"):
        math.fmod(1 // int(path.exists()), 1)
