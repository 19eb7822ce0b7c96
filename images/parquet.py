"""Parquet files with images of 32 x 32 pixels, as the Hugging Face hub has CIFAR, read warily.

A few bytes of such a file can stand for any number of rows, and a row for any number of bytes: both are checked before
they are read.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from importlib import import_module
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
    """The images of the files' column `img`, and the labels of another, a whole number each.

    Raises BadInput for a damaged file, other columns, and more than `most` rows in all.
    """
    pa, _ = library("pyarrow"), library("PIL.Image")
    tables: list[Any] = []
    for path in files:
        tables.append(_shard(path, column, most - sum(table.num_rows for table in tables)))
    table = pa.concat_tables(tables)
    return Table(str(files[0].parent), table.column(column).to_numpy(), table.column("img.bytes"))


def _shard(path: Path, column: str, most: int) -> Any:
    """The arrow table of a file: the bytes of each image, and its label."""
    pa, pq = library("pyarrow"), library("pyarrow.parquet")
    schema = pa.schema({"img": pa.struct({"bytes": pa.binary()}), column: pa.int64()})
    try:
        size_of(path)
        with pq.ParquetFile(path) as file:
            metadata, found = file.metadata, file.schema_arrow
        if missing := set(schema.names) - set(found.names):
            raise BadInput(
                f"{path} has no column {' or '.join(sorted(missing))} (it has: {', '.join(found.names)}): "
                "is it another data set?"
            )
        kinds = {name: found.field(name).type for name in schema.names}
        if not pa.types.is_struct(kinds["img"]) or kinds["img"].get_field_index("bytes") < 0:
            raise _other_types(path, kinds)
        room = _check_size(path, metadata, ("img.bytes", column), most)
        batches = []
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_AT_ONCE, columns=["img.bytes", column]):
                batches.append(batch)
                room -= batch.nbytes  # one value of a dictionary may stand in any number of rows
                if room < 0:
                    raise _too_much(path)
        table = pa.Table.from_batches(batches, None if batches else found)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"cannot read {path} ({reason(error)}): get the file again") from error
    try:
        flat = table.select(schema.names).cast(schema).flatten()
    except (pa.ArrowException, ValueError) as error:
        raise _other_types(path, kinds) from error
    if flat.column("img.bytes").null_count or flat.column(column).null_count:
        raise BadInput(f"{path} has rows without image bytes or without label: get the file again")
    return flat


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
    """Rows of parquet: `encoded` is an arrow column with the bytes of PNG or WebP files, decoded when taken."""

    where: str
    labels: np.ndarray
    encoded: Any

    def take(self, indices: np.ndarray) -> Split:
        from PIL import Image

        images = np.empty((len(indices), 3, SIZE, SIZE), np.uint8)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # a huge image is not decoded
            for row, index in enumerate(indices):
                try:
                    # trying all formats takes 1.6 times as long, and for some of them Pillow runs other programs
                    data = self.encoded[index].as_py()
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
