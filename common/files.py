"""Content hashes, and files that are either the old ones or the new ones, never half of each."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from common.errors import BadInput, BadUsage


def content_hash(arrays: Iterable[np.ndarray]) -> str:
    """SHA-256 over dtype, shape and bytes of the arrays in order; 64 hex digits."""
    digest = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def json_hash(value: Any) -> str:
    """SHA-256 of the canonical JSON form (sorted keys, no spaces); 64 hex digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def expanded(path: str | Path) -> Path:
    """A path with `~` and `~user` replaced by the home folder. Raises BadUsage where there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise BadUsage(f"{path}: there is no home folder of {Path(path).parts[0]}: write the whole path") from error


def size_of(path: Path) -> int:
    """The bytes of a regular file. Raises OSError for anything else: a pipe is waited for, a device has no end."""
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "a pipe or a device, and no regular file", str(path))
    return found.st_size


class _Finished(NamedTuple):
    """A file that is written and has not its name yet, and the folders that were made for it, innermost first."""

    temporary: Path
    path: Path
    made: list[Path]


_waiting: ContextVar[list[_Finished] | None] = ContextVar("_waiting", default=None)
"""The files of the `together` that is open."""


@contextmanager
def together(marker: Path | None = None) -> Iterator[None]:
    """Let all files that are written within the block take their places at its end, in the order of writing.

    Where one of them cannot be written none is. Who is killed between two of the places leaves `marker`, the file that
    readers look for, absent: it is removed before the first takes its place, and is to be the last one written.
    Without a marker an older file may then stand beside a newer one.
    """
    if _waiting.get() is not None:  # part of a larger whole
        yield
        return
    waiting: list[_Finished] = []
    token = _waiting.set(waiting)
    try:
        yield
        if marker is not None and waiting:
            with _writing(marker):
                marker.unlink(missing_ok=True)
        while waiting:
            with _writing(waiting[0].path):
                os.replace(waiting[0].temporary, waiting[0].path)
            del waiting[0]
    finally:
        _waiting.reset(token)
        for temporary, _, made in waiting:
            temporary.unlink(missing_ok=True)
            remove_empty(made)


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to `path` by renaming a finished temporary file over it; makes the folder.

    Raises BadInput where it cannot be written, and leaves nothing then.
    """
    with together():
        waiting = _waiting.get()
        assert waiting is not None
        with _writing(path):
            waiting.append(_finish(path, data))


def _finish(path: Path, data: bytes) -> _Finished:
    """Write `data` beside `path`. Raises OSError, also for what would only be refused when the file takes its place."""
    made = make_folder(path.parent)
    temporary = None
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with suppress(FileNotFoundError):
            path.lstat()  # a name can be too long
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp files are private; a result is for everybody the umask allows
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        return _Finished(temporary, path, made)
    except BaseException:
        if temporary is not None:
            temporary.unlink()
        remove_empty(made)
        raise


def make_folder(folder: Path) -> list[Path]:
    """Make a folder and those it lies in; returns those that were missing, innermost first. Raises OSError."""
    missing = [each for each in (folder, *folder.parents) if not each.is_dir()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        remove_empty(missing)
        raise
    return missing


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove those of these folders that are there and empty."""
    for folder in folders:
        with suppress(OSError):  # never made, or not empty because somebody else uses it
            folder.rmdir()


NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_REMEDIES = {
    **dict.fromkeys(NO_ROOM, "free some space there"),
    errno.EFBIG: "raise the limit of file sizes, `ulimit -f`",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EISDIR: "that is a folder, choose another name",
    errno.ENOENT: "put it there, or name another place",
}


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn an OSError within the block into BadInput."""
    try:
        yield
    except OSError as error:
        raise BadInput(f"cannot write {path} ({error.strerror or error}): {remedy(error)}") from error


def remedy(error: OSError) -> str:
    """What to do where something cannot be written."""
    return _REMEDIES.get(error.errno or 0, "make it writable, or name another place")


def gzip_bytes(data: bytes) -> bytes:
    """Gzip without time or name in the header: equal data gives equal bytes."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=buffer, mode="wb", compresslevel=9, mtime=0) as file:
        file.write(data)
    return buffer.getvalue()
