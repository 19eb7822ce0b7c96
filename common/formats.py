"""Files as results are kept: JSON, CSV, text and tensors. Each is written whole, and all are read with one error.

A file that is missing, damaged or not what it should be costs one line: `cannot read PATH (why): what to do`.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import pickletools
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from textwrap import shorten
from typing import IO, TYPE_CHECKING, Any

from common.errors import BadInput
from common.files import gzip_bytes, size_of, write_whole

if TYPE_CHECKING:
    import pandas as pd

RESTORE = "restore it"
"""The remedy where no command makes the file again."""

MOST_TEXT = 16 * 2**20
"""Bytes of the largest text or JSON file that is read: as Python's objects it takes some twenty times as much."""
MOST_CSV = 64 * 2**20
"""Bytes of the largest table that is read, and of what is packed in it."""
MOST_VALUES = 8_000_000
MOST_COLUMNS = 1000
MOST_PICKLE = 4 * 2**20
"""Bytes of the pickle in a file of tensors, which says what the tensors are; the numbers lie beside it."""
MOST_MADE = 256 * 2**20
"""Bytes that the calls in such a pickle may make."""
_PICKLES = 5

_DAMAGED = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    RecursionError,
    csv.Error,
    zlib.error,
)
"""What Python, pandas and our own checks raise for a file that is missing, damaged or of another form."""


@contextmanager
def reading(path: Path, remedy: str = RESTORE) -> Iterator[None]:
    """Turn what a missing or damaged file raises within the block into BadInput: `cannot read PATH (why): remedy`."""
    try:
        yield
    except _DAMAGED as error:
        raise BadInput(f"cannot read {path} ({_why(error)}): {remedy}") from error


def _why(error: Exception) -> str:
    """The text of an error in one short line, without the path that stands before it already."""
    if isinstance(error, KeyError):
        return f"no {error}"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return shorten(text, 200, placeholder=" ...") or type(error).__name__


def _object(found: Any, keys: Iterable[str]) -> dict[str, Any]:
    """What was found, if it is a dict with these keys. Raises ValueError."""
    if not isinstance(found, dict):
        raise ValueError(f"{type(found).__name__} in place of an object")
    _demand(keys, found)
    return found


def _demand(names: Iterable[str], found: Iterable[str], what: str = "") -> None:
    """Raises ValueError for the first name that is not among those found."""
    known = set(found)
    for name in names:
        if name not in known:
            raise ValueError(f"no {what}'{name}'")


def whole(path: Path, most: int = MOST_CSV) -> bytes:
    """The bytes of a regular file. Raises OSError, and ValueError for more than `most`."""
    return path.read_bytes() if size_of(path) <= most else _too_large(most)


def unzipped(data: bytes) -> bytes:
    """What gzip has packed. Raises OSError, EOFError or zlib.error, and ValueError for more than `MOST_CSV` bytes."""
    with gzip.open(io.BytesIO(data)) as packed:
        return _bounded(packed, MOST_CSV)


def _bounded(file: IO[bytes] | gzip.GzipFile, most: int) -> bytes:
    """All that a file has left, which may be less than what it unpacks to. Raises ValueError for more than `most`."""
    data = file.read(most + 1)
    return data if len(data) <= most else _too_large(most)


def _too_large(most: int) -> bytes:
    raise ValueError(f"it holds more than {most:,} bytes")


_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",  # in front of UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""The encodings that files say they are in, by the byte-order mark in front of them."""


def decoded(data: bytes) -> str:
    """Text in the encoding that its byte-order mark names, without the mark, or in UTF-8. Raises ValueError."""
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in data:
        raise ValueError("it holds bytes of zero, as UTF-16 does that lacks its byte-order mark: save it as UTF-8")
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        told = f"it is no text in {encoding.upper()}, {error.reason} at byte {error.start}"
        raise ValueError(f"{told}: save it as UTF-8") from error


def _text(path: Path) -> str:
    return decoded(whole(path, MOST_TEXT))


def read_text(path: Path, remedy: str = RESTORE) -> str:
    """The text of a file, as of `decoded`. Raises BadInput."""
    with reading(path, remedy):
        return _text(path)


def write_text(path: Path, text: str) -> None:
    """Write `text` in UTF-8."""
    write_whole(path, text.encode())


def read_json(path: Path, remedy: str = RESTORE, keys: Iterable[str] = ()) -> dict[str, Any]:
    """The object in a JSON file. Raises BadInput, also where it lacks one of `keys`."""
    with reading(path, remedy):
        return _object(json.loads(_text(path)), keys)


def write_json(path: Path, value: Any) -> None:
    """Write readable, key-ordered JSON with a final newline."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


_MORE = re.compile(r".*Expected (\d+) fields in line (\d+), saw (\d+).*", re.DOTALL)
"""What pandas says of a line with more values than there are columns."""


def _check_separator(data: bytes) -> None:
    """Raises ValueError where columns are separated by another mark than commas, as by many spreadsheets."""
    heading = data.partition(b"\n")[0]
    for mark, called in ((b";", "semicolons"), (b"\t", "tabs")):
        if mark in heading and b"," not in heading:
            raise ValueError(f"line 1: its columns are separated by {called}: write commas, and points in numbers")


def read_csv(path: Path, remedy: str = RESTORE, columns: Iterable[str] = (), **options: Any) -> pd.DataFrame:
    """The frame in a CSV file, compressed or not, as of `decoded`; `options` are those of `pandas.read_csv`.

    Raises BadInput, also where the file lacks one of `columns`.
    """
    import pandas as pd

    with reading(path, remedy):
        data = _table(path)
        _check_separator(data)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)
                found = pd.read_csv(io.BytesIO(data), index_col=False, **options)
        except OverflowError as error:
            raise ValueError(str(error)) from error
        except pd.errors.ParserWarning as error:
            raise ValueError("lines have more values than line 1 names columns: write points in numbers") from error
        except pd.errors.ParserError as error:
            raise ValueError(_MORE.sub(r"line \2 has \3 values, and line 1 names \1 columns", str(error))) from error
        _demand(columns, map(str, found.columns), "column ")
        return found


def _table(path: Path) -> bytes:
    """What a CSV file holds, unpacked as its name says, in UTF-8. Raises OSError, EOFError and ValueError."""
    from pandas.io.common import get_handle

    if size_of(path) > MOST_CSV:
        _too_large(MOST_CSV)
    try:
        with get_handle(path, "rb", compression="infer", is_text=False) as opened:
            data = _bounded(opened.handle, MOST_CSV)
    except (OSError, EOFError, ValueError):
        raise
    except Exception as error:  # each way of packing has errors of its own, and one may lack its library
        raise ValueError(str(error)) from error
    data = decoded(data).encode()
    if data.count(b",") + data.count(b"\n") > MOST_VALUES:
        raise ValueError(f"it holds more than {MOST_VALUES:,} values")
    lines = csv.reader(io.TextIOWrapper(io.BytesIO(data), "utf-8", newline=""))
    if len(next(filter(None, lines), ())) > MOST_COLUMNS:
        raise ValueError(f"it has more than {MOST_COLUMNS:,} columns")
    return data


def write_csv(path: Path, frame: pd.DataFrame, **options: Any) -> None:
    """Write a frame without its index, compressed where the name ends with .gz; `options` are those of `to_csv`."""
    _write_lines(path, frame.to_csv(index=False, lineterminator="\n", **options))


def read_records(path: Path, remedy: str = RESTORE) -> list[dict[str, str]]:
    """The rows of a CSV file, text by column, read without pandas. Raises BadInput, also for rows of unequal length."""
    with reading(path, remedy):
        data = whole(path)
        text = decoded(unzipped(data) if path.suffix == ".gz" else data)
        if text.count(",") + text.count("\n") > MOST_VALUES:
            raise ValueError(f"it holds more than {MOST_VALUES:,} values")
        lines = [line for line in csv.reader(io.StringIO(text, newline="")) if line]
        if not lines:
            raise ValueError("it is empty")
        head, *rows = lines
        if ragged := next((row for row in rows if len(row) != len(head)), None):
            raise ValueError(f"{len(head)} columns, and a row of {len(ragged)}")
        return [dict(zip(head, row, strict=True)) for row in rows]


def write_records(path: Path, rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Write rows that have the columns of the first one, compressed where the name ends with .gz; None is empty.

    Returns the content of the file. Needs no pandas.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return _write_lines(path, text.getvalue())


def _write_lines(path: Path, text: str) -> bytes:
    data = gzip_bytes(text.encode()) if path.suffix == ".gz" else text.encode()
    write_whole(path, data)
    return data


def read_tensors(path: Path, remedy: str = RESTORE, keys: Iterable[str] = (), device: Any = None) -> dict[str, Any]:
    """The dict that `write_tensors` wrote, on a device; nothing that the file names is run.

    Raises BadInput, also where it lacks one of `keys`.
    """
    import torch

    with reading(path, remedy):
        check_tensors(path)
        try:
            found = torch.load(path, weights_only=True, map_location=device)
        except OSError:
            raise
        except Exception as error:  # half a dozen kinds for a damaged file, some with the advice to trust it
            raise ValueError("PyTorch cannot load it") from error
        return _object(found, keys)


def check_tensors(path: Path) -> None:
    """Raises OSError, or ValueError, for a file of `torch.save` that asks for more memory than it takes on disk.

    Such a file holds its tensors as they are: what is packed could unpack to anything.
    """
    size = size_of(path)
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            file.seek(0)
            _check_calls(file)
            return
        try:
            archive = zipfile.ZipFile(file)
            parts = archive.infolist()
            pickles = [(part.file_size, archive.open(part)) for part in parts if part.filename.endswith(".pkl")]
        except Exception as error:  # a damaged one raises half a dozen kinds
            raise ValueError(str(error)) from error
        if any(part.compress_type != zipfile.ZIP_STORED for part in parts) or sum(p.file_size for p in parts) > size:
            raise ValueError("it is packed, as torch.save never does")
        for length, opened in pickles:
            if length > MOST_PICKLE:
                _too_large(MOST_PICKLE)
            _check_calls(opened)


def _check_calls(file: IO[bytes]) -> None:
    """Raises ValueError where the calls that a file's pickles make could add up to more than `MOST_MADE` bytes.

    One call makes no more than a copy of the longest text. There are five pickles in a row in a file from before
    PyTorch 1.6, and where they end early PyTorch will tell.
    """
    longest = calls = left = 0
    with suppress(Exception):  # a damaged one raises nearly anything
        for _ in range(_PICKLES):
            for left, (code, said, _) in enumerate(pickletools.genops(file)):
                calls += code.name == "REDUCE"
                if isinstance(said, str | bytes):
                    longest = max(longest, len(said))
                if left > MOST_PICKLE:
                    break
    if longest * calls > MOST_MADE or left > MOST_PICKLE:
        raise ValueError("its pickle makes more than the file holds")


def write_tensors(path: Path, value: dict[str, Any]) -> None:
    """Write what `torch.save` makes of a dict of tensors and plain values."""
    import torch

    buffer = io.BytesIO()
    torch.save(value, buffer)
    write_whole(path, buffer.getvalue())
