"""Parquet files with images of 32 x 32 pixels, as the Hugging Face hub has CIFAR, read warily.

A few bytes of such a file can stand for any number of rows, and a row for any number of bytes: both are checked before
they are read.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from common.errors import BadInput
from common.files import size_of
from images.base import Split

SIZE = 32
MOST_BYTES = 8 * 1024
"""Of one image in its file: PNG without compression has 3,200."""
_BESIDE = 2**20
"""Bytes that a file may have besides."""


def read_parquet(files: list[Path], column: str, most: int) -> Table:
    """The images of the files' column `img`, read when they are taken, and the labels of another, a whole number each.

    Raises BadInput for a damaged file, other columns, and more than `most` rows in all.
    """
    library("PIL.Image")
    shards: list[_Shard] = []
    for path in files:
        shards.append(_Shard(path, column, most - sum(len(shard.labels) for shard in shards)))
    labels = np.concatenate([shard.labels for shard in shards])
    return Table(str(files[0].parent), labels, lambda rows: _in_turn(shards, rows))


def _in_turn(shards: list[_Shard], rows: np.ndarray) -> Iterator[bytes]:
    """The images of ascending rows of all files, one file after the other."""
    first = 0
    for shard in shards:
        end = first + len(shard.labels)
        yield from shard.encoded(rows[(rows >= first) & (rows < end)] - first)
        first = end


class _Shard:
    """A file, which stays open: its labels, and the bytes of its images where they are asked for."""

    def __init__(self, path: Path, column: str, most: int) -> None:
        pa, pq = library("pyarrow"), library("pyarrow.parquet")
        self._path = path
        self._types = {"img": pa.struct({"bytes": pa.binary()}), column: pa.int64()}
        with self._readable():
            size_of(path)
            self._file = pq.ParquetFile(path)
            metadata, found = self._file.metadata, self._file.schema_arrow
            if missing := self._types.keys() - set(found.names):
                raise BadInput(
                    f"{path} has no column {' or '.join(sorted(missing))} (it has: {', '.join(found.names)}): "
                    "is it another data set?"
                )
            self._kinds = {name: found.field(name).type for name in self._types}
            if not pa.types.is_struct(self._kinds["img"]) or self._kinds["img"].get_field_index("bytes") < 0:
                raise _other_types(path, self._kinds)
            self._room = _check_size(path, metadata, ("img.bytes", column), most)
            self._of_type(self._file.read_row_groups([], ["img.bytes"]), "img")
            groups = range(metadata.num_row_groups)
            self._ends = np.cumsum([metadata.row_group(group).num_rows for group in groups], dtype=np.int64)
            read = [self._of_type(batch, column).to_pylist() for batch in self._batches(groups, column)]
        # the library's own way to arrays imports pandas, which takes longer than all this
        self.labels = np.array(list(chain.from_iterable(read)), np.int64)

    def encoded(self, rows: np.ndarray) -> Iterator[bytes]:
        """The bytes of the images of ascending rows; only the groups that hold one are read, and little is kept."""
        for group in np.unique(np.searchsorted(self._ends, rows, side="right")):
            first = self._ends[group - 1] if group else 0
            for batch in self._batches([group], "img.bytes"):
                begin, end = np.searchsorted(rows, (first, first + batch.num_rows))
                if begin < end:
                    images = self._of_type(batch, "img").field("bytes")
                    yield from (images[row - first].as_py() for row in rows[begin:end])
                first += batch.num_rows

    def _batches(self, groups: Iterable[int], column: str) -> Iterator[Any]:
        """Some rows of a column at a time. Raises BadInput where they are too large."""
        room = self._room
        with self._readable():
            for batch in self._file.iter_batches(_AT_ONCE, groups, [column]):
                room -= batch.nbytes  # one value of a dictionary may stand in any number of rows
                if room < 0:
                    raise _too_much(self._path)
                yield batch

    def _of_type(self, rows: Any, name: str) -> Any:
        """A column of what was read, as what its values are to be. Raises BadInput where one is not there."""
        pa, found = library("pyarrow"), rows.column(name)
        try:
            if found.type != self._types[name]:
                found = found.cast(self._types[name])
        except (pa.ArrowException, ValueError) as error:
            raise _other_types(self._path, self._kinds) from error
        parts = found.chunks if isinstance(found, pa.ChunkedArray) else [found]
        if any(part.null_count or (name == "img" and part.field("bytes").null_count) for part in parts):
            raise BadInput(f"{self._path} has rows without image bytes or without label: get the file again")
        return found

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (library("pyarrow").ArrowException, OSError) as error:
            raise BadInput(f"cannot read {self._path} ({reason(error)}): get the file again") from error


def _other_types(path: Path, kinds: dict[str, Any]) -> BadInput:
    found, (_, column) = ", ".join(f"{name} {kind}" for name, kind in kinds.items()), kinds
    wanted = f"img must be a struct of bytes and path, {column} whole numbers"
    return BadInput(f"{path} has columns of other types ({found}): {wanted}")


def _too_much(path: Path) -> BadInput:
    found = f"{path} holds more than {MOST_BYTES:,} bytes an image"
    return BadInput(f"{found}, and one of {SIZE}x{SIZE} pixels has no more: get the file again")


def _check_size(path: Path, metadata: Any, columns: tuple[str, ...], most: int) -> int:
    """How many bytes a file's rows may have. Raises BadInput where there are more rows, or columns unpack to more.

    What they unpack to is said by the head of each page, which the library goes by; the totals in the file's own
    index are only another word.
    """
    if metadata.num_rows > most:
        found = f"{path} has {metadata.num_rows:,} rows"
        raise BadInput(f"{found}, and its data set at most {most:,} beside the files before it: get the files again")
    room = left = metadata.num_rows * MOST_BYTES + _BESIDE
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for chunk in map(group.column, range(group.num_columns)):
            if chunk.path_in_schema in columns:
                left -= _unpacked(path, chunk, left)
                if left < 0:
                    raise _too_much(path)
    return room


def _unpacked(path: Path, chunk: Any, room: int) -> int:
    """The bytes that the pages of a column chunk have, or unpack to, by their heads; a part where there is no room."""
    at = chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset
    end, total = at + chunk.total_compressed_size, 0
    with path.open("rb") as file:
        while at < end and total <= room:
            file.seek(at)
            head = _Head(file.read(min(_HEAD, end - at)))
            try:
                page = head.read()
            except (IndexError, RecursionError) as error:
                raise OSError("the head of a page is damaged") from error
            if min(page.unpacked, page.packed) < 0:
                raise OSError("a page has a negative size")
            if page.shares and page.unpacked > _SHARED:
                raise _too_much(path)
            total += max(page.unpacked, page.packed)
            at += head.at + page.packed
    return total


_AT_ONCE = 32
"""Rows that are read before it is looked how large they have become."""
_SHARED = 8 * 2**20
"""Bytes of the largest page whose content may stand in many rows; writers end a dictionary at 1 MB."""
_HEAD = 2**16
"""Bytes of the longest head of a page that is read; it may hold the least and the largest value of the page."""


class _Page(NamedTuple):
    """What the head of a page says of it."""

    unpacked: int
    packed: int
    shares: bool
    """Whether it is a dictionary, or each of its values begins as the one before."""


_DICTIONARY_PAGE, _DELTA_BYTE_ARRAY = 2, 7
"""By their numbers in the format."""


class _Head:
    """The head of a Parquet page in Thrift's compact protocol."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def read(self) -> _Page:
        found = self._struct()
        kind, unpacked, packed = (self._number(found, number) for number in (1, 2, 3))
        encodings = [self._number(found.get(5), 2), self._number(found.get(8), 4)]  # of either version of data pages
        return _Page(unpacked, packed, kind == _DICTIONARY_PAGE or _DELTA_BYTE_ARRAY in encodings)

    @staticmethod
    def _number(struct: Any, field: int) -> int:
        value = struct.get(field) if isinstance(struct, dict) else None
        return value if isinstance(value, int) else 0

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def _zigzag(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)

    def _struct(self) -> dict[int, Any]:
        """The fields that are whole numbers or structs, by number."""
        found: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            found[number] = self._value(head & 15)
        return found

    def _value(self, kind: int) -> Any:
        if kind in (1, 2):  # truth and falsehood need no more
            return None
        if kind in (4, 5, 6):
            return self._zigzag()
        if kind == 12:
            return self._struct()
        if kind in (9, 10):
            self._list()
        elif kind in (3, 7, 8):
            length = {3: 1, 7: 8}.get(kind) or self._varint()
            self.at += length
        else:
            raise IndexError(f"a field of kind {kind}")
        return None

    def _list(self) -> None:
        head = self._byte()
        kind, count = head & 15, head >> 4
        for _ in range(self._varint() if count == 15 else count):
            if kind in (1, 2):
                self.at += 1
            else:
                self._value(kind)
            if self.at > len(self.data):
                raise IndexError


@dataclass
class Table:
    """Rows of parquet: `encoded` has the bytes of PNG or WebP files, of ascending rows, decoded when taken."""

    where: str
    labels: np.ndarray
    encoded: Callable[[np.ndarray], Iterable[bytes]]

    def take(self, indices: np.ndarray) -> Split:
        """These images and their labels. Raises BadInput for what is no image of this size, or cannot be read."""
        from PIL import Image

        images, order = np.empty((len(indices), 3, SIZE, SIZE), np.uint8), np.argsort(indices, kind="stable")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # a huge image is not decoded
            for row, data in zip(order, self.encoded(indices[order]), strict=True):
                try:
                    # trying all formats takes 1.6 times as long, and for some of them Pillow runs other programs
                    if len(data) > MOST_BYTES:
                        raise ValueError(f"it has {len(data):,} bytes, and may have {MOST_BYTES:,}")
                    picture = Image.open(io.BytesIO(data), formats=("PNG", "WEBP"))
                    found = f"{picture.size[0]}x{picture.size[1]} {picture.mode}"
                    if found == "32x32 RGB":  # so its header says
                        images[row] = np.asarray(picture).transpose(2, 0, 1)
                except Exception as error:  # decoders of damaged images raise nearly anything
                    message = f"cannot decode an image of {self.where} ({reason(error)}): get the files again"
                    raise BadInput(message) from error
                if found != "32x32 RGB":
                    raise BadInput(f"{self.where} has an image of {found}, not 32x32 RGB: get the files again")
        return Split(images, self.labels[indices])


def reason(error: Exception) -> str:
    """The text of an error in one line, or else its name."""
    return " ".join(str(error).split()) or type(error).__name__


def library(name: str) -> Any:
    """A module of a library that only this needs. Raises BadInput where it is not installed."""
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise BadInput(f"CIFAR needs the library {package!r}: pip install 'diswot-bench[cifar]'") from error
