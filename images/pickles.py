"""Batch files of images as Krizhevsky's CIFAR and the downsampled ImageNet publish them: Python pickles, read warily.

A pickle is a program: whoever made the file chooses what it calls. Here it can call only the stand-ins below, which
build arrays of plain numbers. numpy's own functions are not let in: a pickle that may call `numpy.ndarray` can make
an array of objects out of raw bytes, that is, read and write any memory.

A small pickle can also ask for any amount of memory and time, so that its opcodes are walked before it is read, and
what its calls make is counted.
"""

from __future__ import annotations

import pickle
import pickletools
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from common.errors import BadInput
from common.files import size_of
from images.base import Split

MOST_OPCODES = 2_000_000
"""A file of 150,000 images has a number and a name for each."""
BESIDE = 200
"""Bytes that a batch file may have for an image beside its pixels: its label, its name."""
_OTHERS = 2**20
"""Bytes that it may have besides."""


def read_pickle(path: Path, most: int = 2**28) -> dict[str, Any]:
    """The dict stored in a batch file: numbers, text, bytes, lists, dicts; its values may be arrays of plain numbers.

    Text of Python 2 is read as Latin-1, keys stored as bytes become text, arrays may be read-only. Runs nothing that
    the file names. Raises BadInput for a file that is missing, damaged, not a dict, has more bytes than `most`, or asks
    for anything else.
    """
    try:
        size = size_of(path)
        if size > most:
            raise ValueError(f"{size:,} bytes, and no such file has more than {most:,}")
        with path.open("rb") as file:
            _walk(file)
            file.seek(0)
            content = _Unpickler(file, path, size).load()
    except BadInput:
        raise
    except FileNotFoundError as error:
        raise BadInput(f"no file {path}: unpack the official archive there") from error
    except Exception as error:  # a damaged pickle can raise nearly anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise BadInput(f"cannot read {path} ({reason}): unpack the official archive again") from error
    if not isinstance(content, dict):
        raise BadInput(f"{path} holds a {type(content).__name__}, not the dict of a batch file: use the official files")
    if wrong := next((key for key in content if not isinstance(key, str | bytes)), None):
        raise BadInput(f"{path} has a key that is a {type(wrong).__name__}, and no text: use the official files")
    return {_key(key): value.value if isinstance(value, _Array) else value for key, value in content.items()}


def _walk(file: IO[bytes]) -> None:
    """Raises ValueError for a pickle that no program writes, and that takes more memory or time than its size says.

    Its memo is numbered in order, for it has room up to the highest number; there are not more objects than a batch
    file needs; no tuple stands in two places, for nested ones would take for ever as keys.
    """
    kept = put = 0
    before = ""
    tuples: set[int] = set()
    said: Any
    for at, (code, said, _) in enumerate(pickletools.genops(file)):
        name = code.name
        if at > MOST_OPCODES:
            raise ValueError(f"more than {MOST_OPCODES:,} objects")
        if name.endswith("PUT") or name == "MEMOIZE":
            put = kept if name == "MEMOIZE" else int(said)
            kept += 1
            if put > kept:
                raise ValueError(f"object {put} of {kept}")
            if "TUPLE" in before:
                tuples.add(put)
        elif name in _ODD or (name.endswith("GET") and int(said) in tuples):
            raise ValueError(f"opcode {name}")
        before = name


_ODD = {"DUP", "EMPTY_SET", "FROZENSET", "ADDITEMS", "NEWOBJ_EX", "NEXT_BUFFER", "PERSID", "BINPERSID"}
"""Opcodes of which a batch file has none."""


def read_batch(path: Path, label: str, size: int, most: int) -> Split:
    """Images uint8 [N, 3, size, size] and the class numbers under key `label`, as stored, int64 [N].

    The file's `data` is uint8 [N, 3 * size * size]: a row is the red, the green, the blue plane, each row by row.
    Raises BadInput as `read_pickle` does, for other keys, shapes or types, and for more than `most` images.
    """
    content = read_pickle(path, most * (3 * size * size + BESIDE) + _OTHERS)
    for key in ("data", label):
        if key not in content:
            found = ", ".join(sorted(content)[:8])
            raise BadInput(f"{path} has no '{key}' (it has: {found}): use the official files of this data set")
    pixels = content["data"]
    width = 3 * size * size
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != width:
        found = f"{pixels.dtype} {list(pixels.shape)}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise BadInput(f"'data' of {path} is {found}, not uint8 [N, {width}]: use the official files of this data set")
    if len(pixels) > most:
        raise BadInput(f"{path} has {len(pixels):,} images, and no such file has more than {most:,}: get it again")
    labels = _numbers(content[label])
    if labels.shape != (len(pixels),) or (labels.size and labels.dtype.kind not in "iu"):
        raise BadInput(f"'{label}' of {path} is not {len(pixels)} whole numbers, one an image: use the official files")
    return Split(pixels.reshape(-1, 3, size, size), labels.astype(np.int64))


def _numbers(found: Any) -> np.ndarray:
    """A list of numbers, or an array, in one dimension; nothing of anything else. Lists in lists could be endless."""
    if isinstance(found, np.ndarray):
        return found.reshape(-1)
    numbers = isinstance(found, list) and all(isinstance(one, int | np.integer) for one in found)
    try:
        return np.asarray(found if numbers else (), dtype=None if found else np.int64)
    except OverflowError:
        return np.empty(0)


def _key(key: object) -> str:
    return key.decode("latin1") if isinstance(key, bytes) else str(key)


class _Global:
    """Stands in for what a pickle names: it can be called, and no more; its attributes cannot be set."""

    __slots__ = ("work",)

    def __init__(self, work: Callable[..., Any]) -> None:
        self.work = work

    def __call__(self, *arguments: Any) -> Any:
        return self.work(*arguments)

    def __setstate__(self, state: object) -> None:
        raise ValueError("a function whose attributes are set")


class _Dtype:
    """Stands in for an object of numpy.dtype: booleans, integers and floats only."""

    def __init__(self, code: str, align: object = False, copy: object = False) -> None:
        if not re.fullmatch(r"[biuf]\d{1,2}", code):
            raise ValueError(f"array of type {code!r}")
        self.code = code
        self.order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] not in ("<", ">", "|", "="):
            raise ValueError(f"byte order {state[1]!r}")
        self.order = state[1]


class _Array:
    """Stands in for an object of numpy.ndarray, which a pickle makes empty and fills afterwards."""

    def __init__(self, make: Callable[..., np.ndarray]) -> None:
        self.make = make
        self.value: np.ndarray | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, raw = state
        self.value = self.make(raw, dtype, shape, "F" if fortran else "C")


def _no_bytes() -> bytes:
    """How protocols 0 to 2 spell b""; of a number `bytes` would make as many zeros."""
    return b""


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, path: Path, size: int) -> None:
        super().__init__(file, encoding="latin1")
        self.path = path
        self.left = size
        """Bytes that may still be made of text: what a program writes names each text once."""
        works: dict[str, Callable[..., Any]] = {
            "numpy.dtype": _Dtype,
            "numpy.ndarray": _no_bytes,
            "_codecs.encode": self._encode,
            "__builtin__.bytes": _no_bytes,
            "builtins.bytes": _no_bytes,
        }
        for core in ("numpy.core", "numpy._core"):  # before and since numpy 2
            works[f"{core}.multiarray._reconstruct"] = lambda kind, shape, code: _Array(self._array)
            works[f"{core}.multiarray.scalar"] = lambda dtype, raw: self._array(raw, dtype, (), "C")[()]
            works[f"{core}.numeric._frombuffer"] = lambda raw, dtype, shape, order, *_: self._array(
                raw, dtype, shape, order
            )
        self.globals = {name: _Global(work) for name, work in works.items()}

    def find_class(self, module: str, name: str) -> _Global:
        key = f"{module}.{name}"
        if key not in self.globals:
            raise BadInput(
                f"{self.path} asks to run {key!r}, which no batch file of images needs: "
                "nothing was run; get the file again from its official source"
            )
        return self.globals[key]

    def _encode(self, text: str, encoding: str) -> bytes:
        """How protocols 0 to 2 spell bytes."""
        if encoding != "latin1":
            raise ValueError(f"text as {encoding!r}")
        self.left -= len(text)
        if self.left < 0:
            raise ValueError("it makes more of its text than it has")
        return text.encode("latin1")

    def _array(self, raw: Any, dtype: _Dtype, shape: Any, order: Any) -> np.ndarray:
        if isinstance(raw, str):  # bytes of Python 2
            raw = self._encode(raw, "latin1")
        return np.frombuffer(raw, np.dtype(dtype.order + dtype.code)).reshape(shape, order=order)
