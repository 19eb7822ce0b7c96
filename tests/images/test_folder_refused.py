"""What a folder of images must not hold is refused in one line that names the file and says what to do."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from folder_files import picture, pictures, write_folder
from PIL import Image

from bench.benchmarks import of_images
from common.errors import BadInput, BadUsage
from images.folder import ImageFolder

GREY = pictures(1, 0)[0][0]
RGB = pictures(1, 0)[0].transpose(1, 2, 0)
PLAIN = Image.fromarray(RGB)
SEEN_THROUGH = Image.fromarray(np.dstack([RGB, GREY]))


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A good folder, beside which nothing else is."""
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "own", {"ant": 12, "cat": 12})
    return tmp_path / "own"


def refused(folder: Path) -> str:
    """The one line of whatever asks for images first, without a warning and without a trace of a file."""
    kept = folder.parent / "results"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(BadInput) as error:
            ImageFolder(folder).batch(8, 0)
    assert not kept.exists()
    text = str(error.value)
    assert "\n" not in text
    assert "object at 0x" not in text
    return text


def saved(image: Image.Image, form: str, **how: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **how)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def deep_png(colour: int, channels: int, side: int = 16) -> bytes:
    """Pixels of 16 bits a channel, which Pillow reads and cannot write: 16 x 16 of them, whatever its header says."""
    header = struct.pack(">IIBBBBB", side, side, 16, colour, 0, 0, 0)
    lines = zlib.compress((b"\0" + b"\1\2" * 16 * channels) * 16)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


# images

CONTENT: dict[str, tuple[str, bytes, str]] = {
    "wider": ("x.png", saved(PLAIN.resize((17, 16)), "PNG"), "is 17x16 pixels, and 24 of 25 images are 16x16: make"),
    "larger": ("x.png", saved(PLAIN.resize((32, 32)), "PNG"), "is 32x32 pixels, and 24 of 25 images are 16x16: make"),
    "alpha": ("x.png", saved(PLAIN.convert("RGBA"), "PNG"), "is of mode RGBA: save it as 8-bit RGB or grey"),
    "alpha WebP": ("x.webp", saved(SEEN_THROUGH, "WEBP"), "is of mode RGBA"),
    "grey alpha": ("x.png", saved(PLAIN.convert("LA"), "PNG"), "is of mode LA"),
    "palette": ("x.png", saved(PLAIN.convert("P"), "PNG"), "is of mode P: save it as 8-bit RGB or grey"),
    "one bit": ("x.png", saved(PLAIN.convert("1"), "PNG"), "is of mode 1"),
    "CMYK": ("x.jpg", saved(PLAIN.convert("CMYK"), "JPEG"), "is of mode CMYK: save it as 8-bit RGB or grey"),
    "16-bit grey": ("x.png", deep_png(0, 1), "is of mode I;16: save it as 8-bit RGB or grey"),
    "16-bit RGB": ("x.png", deep_png(2, 3), "has 16 bits a channel: save it with 8"),
    "transparent colour": ("x.png", saved(PLAIN, "PNG", transparency=(1, 2, 3)), "has a transparent colour: save it"),
    "transparent grey": ("x.png", saved(Image.fromarray(GREY), "PNG", transparency=3), "has a transparent colour"),
    "animated PNG": ("x.png", saved(PLAIN, "PNG", save_all=True, append_images=[PLAIN.rotate(90)]), "holds 2 pictures"),
    "animated WebP": (
        "x.webp",
        saved(PLAIN, "WEBP", save_all=True, append_images=[PLAIN.rotate(90)]),
        "holds 2 pictures: keep one",
    ),
    "two pictures": ("x.jpg", saved(PLAIN, "MPO", save_all=True, append_images=[PLAIN.rotate(90)]), "holds 2 pictures"),
    "GIF under another name": ("x.png", saved(PLAIN, "GIF"), "holds no PNG, JPEG or WebP image: replace or remove it"),
    "text under another name": ("x.jpg", b"not a picture", "holds no PNG, JPEG or WebP image"),
    "empty": ("x.png", b"", "holds no PNG, JPEG or WebP image"),
    "half a PNG": ("x.png", saved(PLAIN, "PNG")[:400], "cannot decode"),
    "half a JPEG": ("x.jpg", saved(PLAIN, "JPEG")[:-200], "cannot decode"),
    "half a WebP": ("x.webp", saved(PLAIN, "WEBP", lossless=True)[:-200], "x.webp"),
    "a damaged PNG": ("x.png", saved(PLAIN, "PNG").replace(b"IDAT", b"IDAX"), "x.png"),
    "large, in few bytes": ("x.png", deep_png(0, 1, 2**13), "is 8192x8192 pixels, and 24 of 25 images are 16x16"),
    "a bomb": ("x.png", deep_png(0, 1, 2**16 - 1), "exceeds limit"),
    "another ending": ("x.gif", saved(PLAIN, "GIF"), "is no image by its name: images end in .png, .jpg, .jpeg, .webp"),
    "no ending": ("x", saved(PLAIN, "PNG"), "is no image by its name"),
    "a list": ("labels.csv", b"0,1", "is no image by its name: images end in .png, .jpg, .jpeg, .webp; move it"),
}


@pytest.mark.parametrize("what", CONTENT)
def test_wrong_content(own: Path, what: str) -> None:
    name, content, words = CONTENT[what]
    path = own / "cat" / name
    path.write_bytes(content)
    text = refused(own)
    assert str(path) in text
    assert words in text


def test_the_first_wrong_file_in_the_order_of_paths_is_named(own: Path) -> None:
    for name in ("cat/5x.png", "cat/1x.png", "ant/9x.png", "ant/8x.png"):
        picture(own / name, pictures(1, 3, 20)[0])
    assert str(own / "ant/8x.png") in refused(own)


@pytest.mark.parametrize("wrong", ["a wide one", "half a file", "alpha"])
def test_where_the_first_image_is_wrong_it_is_told_when_the_folder_is_named(own: Path, wrong: str) -> None:
    path = own / "ant/0.png"
    content = {"a wide one": saved(PLAIN.resize((17, 16)), "PNG"), "half a file": saved(PLAIN, "PNG")[:300]}
    path.write_bytes(content.get(wrong, CONTENT["alpha"][1]))
    with pytest.raises(BadInput) as error:
        of_images("birds", f"folder:{own}")
    assert str(path) in str(error.value)
    if wrong == "a wide one":
        said = "is 17x16 pixels, and 23 of 24 images are 16x16: make all images square, and of one size"
        assert str(error.value).endswith(said)


@pytest.mark.parametrize("odd", ["ant/0.png", "ant/5.png", "cat/23.png"])
@pytest.mark.parametrize("side", [8, 20, 17])
def test_of_two_sizes_the_rare_one_is_wrong_wherever_it_lies(own: Path, odd: str, side: int) -> None:
    picture(own / odd, pictures(1, 3, side)[0])
    said = f"is {side}x{side} pixels, and 23 of 24 images are 16x16: make all images square, and of one size"
    assert refused(own) == f"{own / odd} {said}"


def test_images_that_are_all_oblong_are_told_of_the_first(own: Path) -> None:
    for path in own.rglob("*.png"):
        path.write_bytes(saved(PLAIN.resize((17, 16)), "PNG"))
    assert refused(own) == f"{own}/ant/0.png is 17x16 pixels: make all images square, and of one size"


def test_wrong_images_of_every_split_are_refused_before_anything_is_scored(own: Path) -> None:
    """Also those that no score reads: else the same folder would be good or bad by what is asked of it."""
    for part in ("train", "test"):
        write_folder(own.parent / "two" / part, {"a": 12, "b": 12})
    path = own.parent / "two/test/b/13.png"
    path.write_bytes(path.read_bytes()[:200])
    assert str(path) in refused(own.parent / "two")


def test_an_image_that_changes_between_two_looks_is_refused(own: Path) -> None:
    found = ImageFolder(own)
    found.batch(8, 0)
    for number, path in enumerate(sorted(own.rglob("*.png"))):
        picture(path, pictures(1, 50 + number)[0])
    with pytest.raises(BadInput, match=r"\.png was changed while it was in use: start again$"):
        found.batch(8, 1)
    for path in own.rglob("*.png"):
        path.unlink()
    with pytest.raises(BadInput, match=r"cannot read .*\.png \(No such file or directory\)"):
        found.batch(8, 1)


@pytest.mark.parametrize(("images", "words"), [(pictures(1, 0), "in channel 0"), (None, "in channel 1")])
def test_images_of_one_value_are_refused(tmp_path: Path, images: np.ndarray | None, words: str) -> None:
    flat = np.zeros((3, 16, 16), np.uint8)
    if images is None:
        flat[0] = images = pictures(1, 0)[0, 0]
    for path in ("a/0.png", "a/1.png", "b/2.png"):
        picture(tmp_path / path, flat)
    with pytest.raises(BadInput, match=f"all training images are of one value {words}: nothing to learn"):
        ImageFolder(tmp_path).batch(2, 0)


# folders


def empty(own: Path) -> None:
    (own / "dog").mkdir()


def hidden_only(own: Path) -> None:
    empty(own)
    (own / "dog/.DS_Store").write_text("")


def nested(own: Path) -> None:
    write_folder(own / "dog", {"poodle": 3})


def outside(own: Path) -> None:
    picture(own / "x.jpg", pictures(1, 0)[0])


def same_but_for_case(own: Path) -> None:
    write_folder(own, {"Cat": 3})


def same_but_for_unicode(own: Path) -> None:
    write_folder(own, {"\u00e4nt": 3, "a\u0308nt": 3})


def one_class(own: Path) -> None:
    for path in (own / "ant").iterdir():
        path.unlink()
    (own / "ant").rmdir()


def no_class(own: Path) -> None:
    one_class(own)
    (own / "cat").rename(own.parent / "cat")


def gone(own: Path) -> None:
    own.rename(own.parent / "elsewhere")


def a_file(own: Path) -> None:
    gone(own)
    own.write_text("")


def dangling(own: Path) -> None:
    (own / "cat/x.png").symlink_to(own / "nowhere.png")


def pipe(own: Path) -> None:
    os.mkfifo(own / "cat/x.png")


def beside_train(own: Path) -> None:
    write_folder(own / "train", {"a": 3, "b": 3})


def split_without_train(own: Path) -> None:
    no_class(own)
    for part in ("test", "val"):
        write_folder(own / part, {"ant": 2, "cat": 2})


def two_levels(own: Path, **more: dict[str, int]) -> None:
    no_class(own)
    for part, counts in {"train": {"ant": 4, "cat": 4}, **more}.items():
        write_folder(own / part, counts)


def lacking_class(own: Path) -> None:
    two_levels(own, test={"ant": 2, "bee": 2, "cat": 2})


def further_class(own: Path) -> None:
    two_levels(own, val={"ant": 2, "cat": 2}, test={"ant": 2, "bat": 2})


def empty_in_test(own: Path) -> None:
    two_levels(own, test={"ant": 2, "cat": 2})
    (own / "test/cat/2.png").unlink()
    (own / "test/cat/3.png").unlink()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (empty, "own/dog is a class without images: remove the folder, or put some in"),
        (hidden_only, "own/dog is a class without images"),
        (
            nested,
            "own/dog/poodle is a folder in a folder of images: wanted are DIR/CLASS/IMAGE or DIR/train/CLASS/IMAGE",
        ),
        (outside, "own/x.jpg is in no class: images go into folders"),
        (same_but_for_case, "own/Cat and "),
        (same_but_for_unicode, "differ in case or accents' form alone: rename one of them"),
        (one_class, "own has one class folder, 'cat': wanted are two or more"),
        (no_class, "own has no class folders: wanted are two or more"),
        (gone, "own (No such file or directory): give a folder of images"),
        (a_file, "own (Not a directory): give a folder of images"),
        (dangling, "own/cat/x.png is no file that can be read: remove it"),
        (pipe, "own/cat/x.png is no file that can be read: remove it"),
        (beside_train, "own/ant lies beside "),
        (
            split_without_train,
            "own/test/ant is a folder in a folder of images: wanted are DIR/CLASS/IMAGE or DIR/train/",
        ),
        (lacking_class, "own/test has a class 'bee' and "),
        (further_class, "own/test has a class 'bat' and "),
        (empty_in_test, "own/test/cat is a class without images"),
    ],
)
def test_wrong_folders(own: Path, spoil: Callable[[Path], None], words: str) -> None:
    spoil(own)
    assert words in refused(own)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(own: Path) -> None:
    (own / "cat/12.png").chmod(0)
    assert f"cannot read {own}/cat/12.png (Permission denied): make it readable" in refused(own)
    (own / "ant").chmod(0)
    assert f"cannot list {own}/ant (Permission denied)" in refused(own)


# draws


def test_more_images_than_there_are(own: Path) -> None:
    found = ImageFolder(own)
    assert len(found.batch(18, 0).labels) == 18
    with pytest.raises(BadUsage, match=f"^{own} has 18 training images, and 19 are wanted at once: add images$"):
        found.batch(19, 0)
    with pytest.raises(BadUsage, match="and 20 are wanted"):
        found.second_batch(10, 0)
    with pytest.raises(BadUsage, match="cannot draw images by seed -1"):
        found.batch(2, -1)
