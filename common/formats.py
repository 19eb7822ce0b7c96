"""Files as results are kept: JSON, CSV, text and tensors. Each is written whole, and all are read with one error.

A file that is missing, damaged or not what it should be costs one line: `cannot read PATH (why): what to do`.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from common.errors import BadInput
from common.files import gzip_bytes, write_whole

if TYPE_CHECKING:
    import pandas as pd

RESTORE = "restore it"
"""The remedy where no command makes the file again."""

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


def read_text(path: Path, remedy: str = RESTORE) -> str:
    """The text of a file in UTF-8. Raises BadInput."""
    with reading(path, remedy):
        return path.read_text(encoding="utf-8")


def write_text(path: Path, text: str) -> None:
    """Write `text` in UTF-8."""
    write_whole(path, text.encode())


def read_json(path: Path, remedy: str = RESTORE, keys: Iterable[str] = ()) -> dict[str, Any]:
    """The object in a JSON file. Raises BadInput, also where it lacks one of `keys`."""
    with reading(path, remedy):
        return _object(json.loads(path.read_text(encoding="utf-8")), keys)


def write_json(path: Path, value: Any) -> None:
    """Write readable, key-ordered JSON with a final newline."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def read_csv(path: Path, remedy: str = RESTORE, columns: Iterable[str] = (), **options: Any) -> pd.DataFrame:
    """The frame in a CSV file, compressed or not; `options` are those of `pandas.read_csv`.

    Raises BadInput, also where the file lacks one of `columns`.
    """
    import pandas as pd

    with reading(path, remedy):
        found = pd.read_csv(path, **options)
        _demand(columns, map(str, found.columns), "column ")
        return found


def write_csv(path: Path, frame: pd.DataFrame, **options: Any) -> None:
    """Write a frame without its index, compressed where the name ends with .gz; `options` are those of `to_csv`."""
    _write_lines(path, frame.to_csv(index=False, lineterminator="\n", **options))


def read_records(path: Path, remedy: str = RESTORE) -> list[dict[str, str]]:
    """The rows of a CSV file, text by column, read without pandas. Raises BadInput, also for rows of unequal length."""
    with reading(path, remedy):
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
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
        try:
            found = torch.load(path, weights_only=True, map_location=device)
        except OSError:
            raise
        except Exception as error:  # half a dozen kinds for a damaged file, some with the advice to trust it
            raise ValueError("PyTorch cannot load it") from error
        return _object(found, keys)


def write_tensors(path: Path, value: dict[str, Any]) -> None:
    """Write what `torch.save` makes of a dict of tensors and plain values."""
    import torch

    buffer = io.BytesIO()
    torch.save(value, buffer)
    write_whole(path, buffer.getvalue())
