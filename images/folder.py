"""Images of one's own in folders: DIR/CLASS/*.png, or DIR/train/CLASS/*.png and DIR/test/CLASS/*.png."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common import results
from common.crew import is_worker
from common.errors import BadInput, BadUsage
from common.files import json_hash, size_of
from common.formats import write_json
from images.base import Split
from images.own import VAL_SHARE, Constants, OwnImages, by_content, held_out

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP")
ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
PARTS = ("train", "val", "test")
TEST_SHARE = 5
"""A fifth of the images of each class is `test`, where there is no folder `train`."""
PASSED_OVER = ("thumbs.db", "desktop.ini")
"""What Windows puts into folders; elsewhere such files begin with a dot, and all that do are passed over."""
MOST_SIDE = 4096
"""Pixels of the largest side; networks here see a few hundred."""
MOST_BYTES = 3 * MOST_SIDE**2 + 2**20
"""Of a file: an image of that side, not compressed, and what may be said of it."""
_CHUNK = 256
_told: set[str] = set()
"""The folders, by hash, of which it was said that an image lies in two classes."""
_VERSION = 1
"""Raise it when the same files are to give other constants."""


@dataclass(frozen=True)
class _File:
    """A file with one image, the number of its class, and its SHA-256."""

    path: Path
    label: int
    digest: str


class _OtherSize(BadInput):
    """An image that is not square, or of another size than the first."""


class ImageFolder(OwnImages):
    """The PNG, JPEG and WebP files of a folder, whose class is the name of the folder they are in.

    Classes are numbered in the order of their names (Unicode NFC). `DIR/train`, `DIR/test` and, if it is there,
    `DIR/val` hold the same classes; without `val` a tenth of the training images of each class is held out. Where
    there is no `DIR/train`, `DIR` itself holds the classes, a fifth of each is `test` and a tenth of the rest `val`.
    What is held out is what comes first by SHA-256 of the files, and images are kept in that order: what files are
    called and in which order the system lists them changes nothing.

    Images are square, of one size, 8 bits a channel, RGB or grey; a grey one has three equal channels. Colour
    profiles and orientation tags are not applied. Everything else is refused, with the first file in the order of
    paths that is not so: alpha, palettes, CMYK, 16 bits, several pictures in a file, what cannot be decoded. Of sizes
    the most frequent is the right one. An image that lies in two classes, equal in all pixels, is told and taken.

    The folder is listed here, and its files are read when images are first asked for. All are decoded once to check
    them and to compute `mean` and `std`, which are kept in results/store/images/ under `hash`; nothing is written into
    the folder. Raises BadUsage without a folder, BadInput for one that is not as described.
    """

    name = "folder"

    def __init__(self, folder: Path) -> None:
        self.where = str(folder)
        self._found = _listed(folder)
        self.class_names = tuple(next(iter(self._found.values())))
        self.classes = len(self.class_names)
        first = min((path for classes in self._found.values() for paths in classes.values() for path in paths), key=str)
        try:
            self.size = _decoded(first, _read(first), None).shape[1]
        except _OtherSize as error:
            raise BadInput(_odd_size(self._found) or error) from error

    def counts(self) -> dict[str, int]:
        return {part: len(files) for part, files in self._parts.items()}

    def take(self, split: str, indices: np.ndarray) -> Split:
        self.constants  # noqa: B018  # all files are good, or the first that is not is told
        files = [self._parts[split][at] for at in indices]
        images = np.empty((len(files), 3, self.size, self.size), np.uint8)
        for row, (_, image) in enumerate(self._images(files)):
            images[row] = image
        return Split(images, np.array([file.label for file in files], np.int64))

    @cached_property
    def hash(self) -> str:
        """Content hash of all files, with their classes and splits; a name, or a date, does not change it."""
        return json_hash([_VERSION, {part: [(f.label, f.digest) for f in fs] for part, fs in self._parts.items()}])

    @cached_property
    def constants(self) -> Constants:
        """Kept in results/store/images/; computed, all images being decoded for it, for a folder not seen before."""
        kept = results.IMAGES / f"{self.hash}.json"
        with suppress(OSError, ValueError, KeyError, TypeError):
            record = json.loads(kept.read_text())
            (a, b, c), (d, e, f) = (map(float, record[key]) for key in ("mean", "std"))
            self._tell(record["in_two_classes"])
            return Constants((a, b, c), (d, e, f))
        pixels: dict[bytes, list[_File]] = {}
        found = Constants.of(self._training_chunks(pixels), self.where)
        equal = (files for files in pixels.values() if len({file.label for file in files}) > 1)
        twice = sorted(sorted({file.digest for file in files}) for files in equal)
        with suppress(BadInput):  # where nothing can be kept they are computed again
            about = {"size": self.size, "counts": self.counts(), "in_two_classes": twice}
            write_json(kept, {"mean": found.mean, "std": found.std, **about})
        self._tell(twice)
        return found

    def _tell(self, twice: list[list[str]]) -> None:
        """Say which images lie in two classes, by the hashes of their files; once, and not in every worker."""
        if not twice or self.hash in _told or is_worker():
            return
        _told.add(self.hash)
        files = sorted((file for files in self._parts.values() for file in files), key=lambda file: str(file.path))
        pairs = []
        for digests in map(set, twice):
            one, *others = [file for file in files if file.digest in digests]
            pairs.append((str(one.path), str(next(file.path for file in others if file.label != one.label))))
        more = f", and {len(pairs) - 1} more such images are in {self.where}" if pairs[1:] else ""
        print(f"note: {' and '.join(min(pairs))} are one image in two classes{more}", file=sys.stderr)

    @cached_property
    def _parts(self) -> dict[str, list[_File]]:
        """The files of `train`, `val` and `test`, each in the order of `by_content`."""
        parts = {part: _hashed(list(classes.values())) for part, classes in self._found.items()}
        if "" in parts:
            parts["test"], parts["train"] = _apart(parts.pop(""), TEST_SHARE)
        if "val" not in parts:
            parts["val"], parts["train"] = _apart(parts["train"], VAL_SHARE)
        return {part: parts.get(part, []) for part in PARTS}

    def _training_chunks(self, pixels: dict[bytes, list[_File]]) -> Iterator[np.ndarray]:
        """The training images uint8 [N, 3, S, S], some hundred at a time; the others are decoded too, to check them.

        `pixels` gets the files of each image, by a hash of what it shows.
        """
        training = set(self._parts["train"])
        files = sorted((file for files in self._parts.values() for file in files), key=lambda file: str(file.path))
        for start in range(0, len(files), _CHUNK):
            images = list(self._images(files[start : start + _CHUNK]))
            for file, image in images:
                pixels.setdefault(hashlib.sha256(image.tobytes()).digest(), []).append(file)
            if chunk := [image for file, image in images if file in training]:
                yield np.stack(chunk)

    def _images(self, files: list[_File]) -> Iterator[tuple[_File, np.ndarray]]:
        """Each file with its image uint8 [3, S, S]."""
        for file in files:
            data = _read(file.path)
            if hashlib.sha256(data).hexdigest() != file.digest:
                raise BadInput(f"{file.path} was changed while it was in use: start again")
            try:
                yield file, _decoded(file.path, data, self.size)
            except _OtherSize as error:
                raise BadInput(_odd_size(self._found) or error) from error


def load(name: str, data: Path | None) -> ImageFolder:
    """The data set of a name in `images.registry`."""
    if data is None:
        raise BadUsage(f"{name} is no data set without its images: pass --data DIR, or write {name}:DIR")
    return ImageFolder(data)


def _listed(folder: Path) -> dict[str, dict[str, list[Path]]]:
    """By split, or under `` where there are none, the paths of each class, classes and paths in the order of names."""
    folders = _folders(folder)
    if "train" not in folders or not _folders(folders["train"], strict=False):
        return {"": _classes(folder)}
    if other := [path for name, path in folders.items() if name not in PARTS]:
        raise BadInput(f"{other[0]} lies beside {folder}/train: that has room for {folder}/val and {folder}/test only")
    found = {part: _classes(folders[part]) for part in PARTS if part in folders}
    for part, classes in found.items():
        for name in sorted(set(classes) ^ set(found["train"])):
            has, lacks = (part, "train") if name in classes else ("train", part)
            raise BadInput(f"{folder / has} has a class '{name}' and {folder / lacks} has not: give both the same")
    return found


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, by name, less what operating systems put there."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise BadInput(f"cannot list {folder} ({error.strerror}): give a folder of images") from error
    return [one for one in entries if not one.name.startswith(".") and one.name.lower() not in PASSED_OVER]


def _folders(folder: Path, strict: bool = True) -> dict[str, Path]:
    """The folders in a folder by name; files beside them may be anything but images. Raises BadInput if `strict`."""
    found: dict[str, Path] = {}
    folded: dict[str, Path] = {}
    for entry in _entries(folder):
        name, path = unicodedata.normalize("NFC", entry.name), folder / entry.name
        if entry.is_dir():
            if strict and (same := folded.setdefault(name.casefold(), path)) != path:
                raise BadInput(f"{same} and {path} differ in case or accents' form alone: rename one of them")
            found[name] = path
        elif strict and entry.name.lower().endswith(ENDINGS):
            raise BadInput(f"{path} is in no class: images go into folders, {folder}/CLASS/{entry.name}")
    return dict(sorted(found.items()))


def _classes(folder: Path) -> dict[str, list[Path]]:
    """The paths of each class. Raises BadInput for fewer than two classes, an empty one, and what is no image."""
    folders = _folders(folder)
    if len(folders) < 2:
        found = f"one class folder, '{next(iter(folders))}'" if folders else "no class folders"
        raise BadInput(f"{folder} has {found}: wanted are two or more, {folder}/CLASS/IMAGE.png")
    return {name: _class(path) for name, path in folders.items()}


def _class(folder: Path) -> list[Path]:
    entries = _entries(folder)
    for entry in entries:
        path = folder / entry.name
        if entry.is_dir():
            raise BadInput(
                f"{path} is a folder in a folder of images: wanted are DIR/CLASS/IMAGE or DIR/train/CLASS/IMAGE"
            )
        if not entry.name.lower().endswith(ENDINGS):
            raise BadInput(f"{path} is no image by its name: images end in {', '.join(ENDINGS)}; move it elsewhere")
        if not entry.is_file():
            raise BadInput(f"{path} is no file that can be read: remove it")
    if not entries:
        raise BadInput(f"{folder} is a class without images: remove the folder, or put some in")
    return [folder / entry.name for entry in entries]


def _odd_size(found: Mapping[str, Mapping[str, list[Path]]]) -> str:
    """What is wrong with the first image that has not the most frequent size; empty where all have one."""
    from PIL import Image

    sizes: dict[Path, tuple[int, int]] = {}
    for path in sorted((path for of in found.values() for paths in of.values() for path in paths), key=str):
        with suppress(Exception), Image.open(path, formats=FORMATS) as picture:  # what cannot be read has no size
            sizes[path] = picture.size
    ((width, height), count), *others = Counter(sizes.values()).most_common()
    if not others:
        return ""
    path, (wide, high) = next(entry for entry in sizes.items() if entry[1] != (width, height))
    rest = f"{count} of {len(sizes)} images are {width}x{height}"
    return f"{path} is {wide}x{high} pixels, and {rest}: make all images square, and of one size"


def _hashed(classes: list[list[Path]]) -> list[_File]:
    """The files of a split, in the order of `by_content`."""
    files = [
        _File(path, label, hashlib.sha256(_read(path)).hexdigest())
        for label, paths in enumerate(classes)
        for path in paths
    ]
    return [files[at] for at in by_content([file.label for file in files], [file.digest for file in files])]


def _apart(files: list[_File], share: int) -> tuple[list[_File], list[_File]]:
    first, rest = held_out(np.array([file.label for file in files]), share)
    return [files[at] for at in first], [files[at] for at in rest]


def _read(path: Path) -> bytes:
    try:
        if (size := size_of(path)) > MOST_BYTES:
            raise BadInput(f"{path} has {size:,} bytes, and an image at most {MOST_BYTES:,}: make it smaller")
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {path} ({error.strerror}): make it readable, or remove it") from error


def _decoded(path: Path, data: bytes, side: int | None) -> np.ndarray:
    """The image uint8 [3, S, S] in a file. Raises BadInput for what `ImageFolder` does not take; None is any side."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a damaged image Pillow warns before it raises, of a huge one too
            picture = Image.open(io.BytesIO(data), formats=FORMATS)
            if (size := picture.size) != (side or size[0],) * 2:
                raise _OtherSize(f"{path} is {size[0]}x{size[1]} pixels: make all images square, and of one size")
            if wrong := _wrong(picture, data):
                raise BadInput(f"{path} {wrong}")
            pixels = np.asarray(picture)
    except BadInput:
        raise
    except UnidentifiedImageError as error:
        raise BadInput(f"{path} holds no PNG, JPEG or WebP image: replace or remove it") from error
    except Exception as error:  # decoders of damaged images raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(f"cannot decode {path} ({reason}): replace or remove it") from error
    return np.broadcast_to(pixels, (3, *pixels.shape)) if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _wrong(picture: Image.Image, data: bytes) -> str:
    """What an image is that it must not be, and what to do, by its header; nothing for a good one."""
    width, height = picture.size
    if width > MOST_SIDE:
        return f"is {width}x{height} pixels: make all images of at most {MOST_SIDE}x{MOST_SIDE}"
    if picture.mode not in ("RGB", "L"):
        return f"is of mode {picture.mode}: save it as 8-bit RGB or grey, without alpha or palette"
    if picture.format == "PNG" and data[24] > 8:  # the bit depth of IHDR; Pillow drops the lower byte of RGB
        return f"has {data[24]} bits a channel: save it with 8"
    if "transparency" in picture.info:
        return "has a transparent colour: save it without one"
    if (count := getattr(picture, "n_frames", 1)) > 1:
        return f"holds {count} pictures: keep one"
    return ""
