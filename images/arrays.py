"""Images of one's own in memory: arrays, tensors, or what a torch Dataset holds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from common.errors import BadInput
from common.files import content_hash
from images.base import Split
from images.own import VAL_SHARE, Constants, OwnImages, by_content, held_out

TWICE = 8
"""Images of a torch Dataset that are read twice, to find out whether it gives the same again."""


class ArrayImages(OwnImages):
    """Images [N, 3, S, S], or grey [N, 1, S, S], and class numbers [N], as arrays or tensors.

    Pixels are uint8, or floating point in 0..1: multiples of 1/255, as ToTensor makes them of bytes. `val` and `test`
    are pairs of the same kind; without `val` a tenth of the training images of each class is held out. `classes` is
    how many there are, by default as many as `labels` name. Images are kept by class and, in a class, by hash: the
    order they come in changes nothing.

    Raises BadInput for other shapes and types, for pixels that are not finite, outside 0..1 or between two bytes (are
    they normalised already?), and for labels that are not whole numbers in 0..classes-1.
    """

    def __init__(
        self,
        name: str,
        images: Any,
        labels: Any,
        *,
        classes: int | None = None,
        val: tuple[Any, Any] | None = None,
        test: tuple[Any, Any] | None = None,
    ) -> None:
        self.name = self.where = name
        given = {"train": (images, labels), "val": val, "test": test}
        parts = {part: _split(f"{name}, {part}", *both) for part, both in given.items() if both is not None}
        self.classes = _classes(name, parts, classes)
        self.size = parts["train"].images.shape[-1]
        for part, split in parts.items():
            if split.images.shape[-1] != self.size:
                raise BadInput(f"{name}: images of {part} are {split.images.shape[-1]} wide, of train {self.size}")
        parts = {part: _sorted(split) for part, split in parts.items()}
        if "val" not in parts:
            train = parts["train"]
            first, rest = held_out(train.labels, VAL_SHARE)
            parts["val"], parts["train"] = _taken(train, first), _taken(train, rest)
        self._parts = parts

    def counts(self) -> dict[str, int]:
        return {part: len(self._parts.get(part, ())) for part in ("train", "val", "test")}

    def take(self, split: str, indices: np.ndarray) -> Split:
        return _taken(self._parts[split], indices)

    @cached_property
    def constants(self) -> Constants:
        return Constants.of([self._parts["train"].images], self.where)

    @cached_property
    def hash(self) -> str:
        """Content hash of all images and labels."""
        parts = [self._parts[part] for part in sorted(self._parts)]
        return content_hash(array for part in parts for array in (part.images, part.labels))


def of_torch(
    name: str, train: Any, *, classes: int | None = None, val: Any | None = None, test: Any | None = None
) -> ArrayImages:
    """The images of torch Datasets, whose items are (image [3, S, S] or [1, S, S], class number).

    Images are as for `ArrayImages`, and every one is read once, into memory. Raises BadInput as that does, and for
    items of another kind, of different sizes, and for a Dataset that gives another image when it is asked again.
    """
    parts = {part: _items(f"{name}, {part}", of) for part, of in (("val", val), ("test", test)) if of is not None}
    return ArrayImages(
        name, *_items(f"{name}, train", train), classes=classes, val=parts.get("val"), test=parts.get("test")
    )


def _items(where: str, dataset: Any) -> tuple[np.ndarray, np.ndarray]:
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise BadInput(f"{where}: a {type(dataset).__name__} cannot be read by index: give a Dataset with a length")
    images: list[np.ndarray] = []
    labels: list[int] = []
    for at in range(len(dataset)):
        image, label = _item(f"{where}, item {at}", dataset[at])
        if images and (image.shape, image.dtype) != (images[0].shape, images[0].dtype):
            shapes = " and ".join(f"{one.dtype} {list(one.shape)}" for one in (images[0], image))
            raise BadInput(f"{where}: items 0 and {at} differ, {shapes}: bring all images to one size and type")
        if at < TWICE and not np.array_equal(_item(where, dataset[at])[0], image):
            raise BadInput(f"{where}, item {at} is another image when asked again: leave random transforms out")
        images.append(image)
        labels.append(label)
    if not images:
        raise BadInput(f"{where} has no images")
    return np.stack(images), np.array(labels)


def _item(where: str, item: Any) -> tuple[np.ndarray, int]:
    if not isinstance(item, Sequence) or len(item) != 2:
        raise BadInput(f"{where} is a {type(item).__name__}, not a pair of image and label")
    image, label = item
    if not hasattr(image, "ndim"):
        kind = type(image).__name__
        raise BadInput(f"{where} has a {kind} as its image, not a tensor [3, S, S]: transform it, by PILToTensor say")
    number = _array(where, label)
    if number.ndim or number.dtype.kind not in "iu":
        found = f"{number.dtype} {list(number.shape)}"
        raise BadInput(f"{where} has a label that is {found}: wanted is a whole number, that of its class")
    return _array(where, image), int(number)


def _array(where: str, values: Any) -> np.ndarray:
    try:
        return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    except (TypeError, ValueError) as error:  # numpy has no bfloat16, and no array of lists of unequal lengths
        raise BadInput(f"{where}: {type(values).__name__} is no array of plain numbers ({error})") from error


def _split(where: str, images: Any, labels: Any) -> Split:
    """Images uint8 [N, 3, S, S] and labels int64 [N]. Raises BadInput for what `ArrayImages` does not take."""
    pixels, numbers = _array(where, images), _array(where, labels)
    if pixels.ndim != 4 or pixels.shape[1] not in (1, 3) or pixels.shape[2] != pixels.shape[3] or not pixels.size:
        raise BadInput(f"{where}: images are {list(pixels.shape)}, not [N, 3, S, S] or, grey, [N, 1, S, S]")
    if numbers.dtype.kind not in "iu" or numbers.shape != (len(pixels),):
        found = f"{numbers.dtype} {list(numbers.shape)}"
        raise BadInput(f"{where}: labels are {found}, not a whole number for each of {len(pixels)} images")
    planes = _bytes(where, pixels)
    return Split(planes if planes.shape[1] == 3 else np.repeat(planes, 3, 1), numbers.astype(np.int64))


def _bytes(where: str, pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.kind != "f":
        raise BadInput(f"{where}: images are {pixels.dtype}: give uint8, or floating point in 0..1")
    if not np.isfinite(pixels).all():
        raise BadInput(f"{where}: image {_first(~np.isfinite(pixels))} has pixels that are not finite")
    low, high = pixels.min(), pixels.max()
    if low < 0 or high > 1:
        raise BadInput(
            f"{where}: pixels are {low:.4g} to {high:.4g}: give uint8, or floating point in 0..1, not normalised yet"
        )
    scaled = 255 * pixels.astype(np.float32)
    found = np.rint(scaled)
    if (between := np.abs(scaled - found) > 0.1).any():  # float16 is .07 off at most
        raise BadInput(
            f"{where}: image {_first(between)} has pixels between two bytes: give uint8, (255 * x).round() say"
        )
    return found.astype(np.uint8)


def _first(mask: np.ndarray) -> int:
    return int(np.argmax(mask.reshape(len(mask), -1).any(1)))


def _classes(name: str, parts: dict[str, Split], classes: int | None) -> int:
    """How many classes there are. Raises BadInput for labels outside of them, and for one without images."""
    named = np.unique(parts["train"].labels)
    count = max(2, int(named[-1]) + 1) if classes is None else classes
    if count < 2:
        raise BadInput(f"{name}: classes={count}, and two are the least")
    for part, split in parts.items():
        low, high = split.labels.min(), split.labels.max()
        if low < 0 or high >= count:
            raise BadInput(f"{name}, {part}: labels are {low} to {high}, and those of {count} classes 0 to {count - 1}")
    if classes is None and len(named) < count:
        missing = min(set(range(count)) - set(named.tolist()))
        raise BadInput(f"{name}: no training image is of class {missing} of {count}: if that is right, give `classes`")
    return count


def _sorted(split: Split) -> Split:
    digests = [content_hash([image]) for image in split.images]
    return _taken(split, np.array(by_content(split.labels.tolist(), digests)))


def _taken(split: Split, indices: np.ndarray) -> Split:
    return Split(split.images[indices], split.labels[indices])
