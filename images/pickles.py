"""Batch files of images as Krizhevsky's CIFAR and the downsampled ImageNet publish them: Python pickles, read warily.

A pickle is a program: whoever made the file chooses what it calls. Here it can call only the stand-ins below, which
build arrays of plain numbers. numpy's own functions are not let in: a pickle that may call `numpy.ndarray` can make
an array of objects out of raw bytes, that is, read and write any memory.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import BadInput
from images.base import Split


def read_pickle(path: Path) -> dict[str, Any]:
    """The dict stored in a batch file: numbers, text, bytes, lists, dicts; its values may be arrays of plain numbers.

    Text of Python 2 is read as Latin-1, keys stored as bytes become text, arrays may be read-only. Runs nothing that
    the file names. Raises BadInput for a file that is missing, damaged, not a dict, or asks for anything else.
    """
    try:
        with path.open("rb") as file:
            content = _Unpickler(file, path).load()
    except BadInput:
        raise
    except FileNotFoundError as error:
        raise BadInput(f"no file {path}: unpack the official archive there") from error
    except Exception as error:  # a damaged pickle can raise nearly anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise BadInput(f"cannot read {path} ({reason}): unpack the official archive again") from error
    if not isinstance(content, dict):
        raise BadInput(f"{path} holds a {type(content).__name__}, not the dict of a batch file: use the official files")
    return {_key(key): value.value if isinstance(value, _Array) else value for key, value in content.items()}


def read_batch(path: Path, label: str, size: int) -> Split:
    """Images uint8 [N, 3, size, size] and the class numbers under key `label`, as stored, int64 [N].

    The file's `data` is uint8 [N, 3 * size * size]: a row is the red, the green, the blue plane, each row by row.
    Raises BadInput as `read_pickle` does, and for other keys, shapes or types.
    """
    content = read_pickle(path)
    for key in ("data", label):
        if key not in content:
            found = ", ".join(sorted(content)[:8])
            raise BadInput(f"{path} has no '{key}' (it has: {found}): use the official files of this data set")
    pixels = content["data"]
    width = 3 * size * size
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != width:
        found = f"{pixels.dtype} {list(pixels.shape)}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise BadInput(f"'data' of {path} is {found}, not uint8 [N, {width}]: use the official files of this data set")
    try:
        labels = np.asarray(content[label]).reshape(-1)
    except ValueError:  # lists of unequal length
        labels = np.empty(0)
    if labels.shape != (len(pixels),) or (labels.size and labels.dtype.kind not in "iu"):
        raise BadInput(f"'{label}' of {path} is not {len(pixels)} whole numbers, one an image: use the official files")
    return Split(pixels.reshape(-1, 3, size, size), labels.astype(np.int64))


def _key(key: object) -> str:
    return key.decode("latin1") if isinstance(key, bytes) else str(key)


class _Dtype:
    """Stands in for numpy.dtype: booleans, integers and floats only."""

    def __init__(self, code: str, align: object = False, copy: object = False) -> None:
        if not re.fullmatch(r"[biuf]\d+", code):
            raise ValueError(f"array of type {code!r}")
        self.code = code
        self.order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] not in ("<", ">", "|", "="):
            raise ValueError(f"byte order {state[1]!r}")
        self.order = state[1]

    def array(self, raw: Any, shape: Any, order: Any) -> np.ndarray:
        if isinstance(raw, str):  # bytes of Python 2
            raw = raw.encode("latin1")
        return np.frombuffer(raw, np.dtype(self.order + self.code)).reshape(shape, order=order)


class _Array:
    """Stands in for numpy.ndarray, which a pickle makes empty and fills afterwards."""

    value: np.ndarray | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, raw = state
        self.value = _Dtype.array(dtype, raw, shape, "F" if fortran else "C")


def _reconstruct(kind: object, shape: object, code: object) -> _Array:
    return _Array()


def _frombuffer(raw: Any, dtype: _Dtype, shape: Any, order: Any, *rest: object) -> np.ndarray:
    return _Dtype.array(dtype, raw, shape, order)


def _scalar(dtype: _Dtype, raw: Any) -> Any:
    return _Dtype.array(dtype, raw, (), "C")[()]


def _encode(text: str, encoding: str) -> bytes:
    """How protocols 0 to 2 spell bytes."""
    if encoding != "latin1":
        raise ValueError(f"text as {encoding!r}")
    return text.encode("latin1")


_ADMITTED: dict[str, Callable[..., Any]] = {
    "numpy.dtype": _Dtype,
    "numpy.ndarray": _Array,
    "_codecs.encode": _encode,
    "__builtin__.bytes": bytes,
    "builtins.bytes": bytes,
}
for _core in ("numpy.core", "numpy._core"):  # before and since numpy 2
    _ADMITTED[f"{_core}.multiarray._reconstruct"] = _reconstruct
    _ADMITTED[f"{_core}.multiarray.scalar"] = _scalar
    _ADMITTED[f"{_core}.numeric._frombuffer"] = _frombuffer


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, path: Path) -> None:
        super().__init__(file, encoding="latin1")
        self.path = path

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        key = f"{module}.{name}"
        if key not in _ADMITTED:
            raise BadInput(
                f"{self.path} asks to run {key!r}, which no batch file of images needs: "
                "nothing was run; get the file again from its official source"
            )
        return _ADMITTED[key]
