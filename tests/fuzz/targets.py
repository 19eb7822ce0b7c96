"""Every parser of what a user or a file says, as a function of bytes: it gives a value or raises BadInput."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from analysis.importers.text import read_csv, read_diswot_json, read_resnet_depths
from analysis.read.accuracies import read_rows
from analysis.read.scores import published
from bench.benchmarks import benchmark, with_teacher
from bench.runner import Request, execute
from bench.store import ScoreStore
from common.cli import parse_seeds
from common.errors import BadInput
from common.formats import read_tensors, write_tensors
from distill.recipe_name import RecipeName
from distill.recipes import recipe
from distill.tables import read_table
from diswot_bench.stored import scores
from images.folder import ImageFolder
from proxies.registry import create_all
from spaces.cell_file import read_cells
from spaces.registry import space, spaces

CELL = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|"


@dataclass(frozen=True)
class Target:
    """A parser, and what it takes without an error, for a fuzzer to begin with."""

    parse: Callable[[bytes, Path], object]
    """Of the bytes, in a folder of its own."""
    good: Callable[[Path], list[bytes]]


def _text(parse: Callable[[str], object], *good: str) -> Target:
    """Of a word on a command line, where Python decodes bytes that are no text to lone surrogates."""
    return Target(
        lambda data, folder: parse(data.decode("utf-8", "surrogateescape")),
        lambda folder: [text.encode() for text in good],
    )


def _file(name: str, parse: Callable[[Path], object], good: Callable[[Path], list[bytes]]) -> Target:
    """Of the content of a file that is called so."""

    def written(data: bytes, folder: Path) -> object:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return parse(path)

    return Target(written, good)


def _texts(*good: str) -> Callable[[Path], list[bytes]]:
    return lambda folder: [text.encode() for text in good]


def _resolved(text: str) -> list[int]:
    found = []
    for name in spaces():
        try:
            found.append(space(name).resolve(text))
        except BadInput:
            found.append(-1)
    return found


def _table(path: Path) -> object:
    """The bytes are a recipe, a line break, and the rows."""
    recipe_text, _, rows = path.read_bytes().partition(b"\n")
    (path.parent / "x-vanilla.json").write_bytes(recipe_text)
    table = path.parent / "x-vanilla.csv.gz"
    table.write_bytes(gzip.compress(rows, 1))
    return read_table(table)


def _good_table(folder: Path) -> list[bytes]:
    about = {"benchmark": "x", "mode": "vanilla", "recipe": {"steps": 5}, "rows": 1}
    return [json.dumps(about).encode() + b"\ncell,seed,val,test,epochs,seconds,status\n3,0,50.0,51.0,1,2.0,ok\n"]


def _store(path: Path) -> object:
    return scores("digits", "params", store=path)


def _good_store(folder: Path) -> list[bytes]:
    path = folder / "made.sqlite"
    store = ScoreStore(path)
    execute(Request(benchmark("digits"), ("params",), (0,), limit=3), store)
    store.close()
    return [path.read_bytes()]


def _published(path: Path) -> object:
    return published(path.parent.parent, path.parent.name, lambda name: True)


def _good_tensors(folder: Path) -> list[bytes]:
    import torch

    write_tensors(folder / "made.pt", {"a": torch.zeros(2), "b": {"c": 1}})
    return [(folder / "made.pt").read_bytes()]


def _image(path: Path) -> object:
    for label in "ab":
        for number in range(3):
            (place := path.parent / "own" / label).mkdir(parents=True, exist_ok=True)
            (place / f"{number}.png").write_bytes(path.read_bytes())
    return ImageFolder(path.parent / "own").split("train")


def _good_image(folder: Path) -> list[bytes]:
    from PIL import Image

    made = []
    for form, mode in (("PNG", "RGB"), ("PNG", "L"), ("JPEG", "RGB"), ("WEBP", "RGB")):
        Image.linear_gradient("L").resize((4, 4)).convert(mode).save(folder / f"made.{form}", form)
        made.append((folder / f"made.{form}").read_bytes())
    return made


def _teacher(text: str) -> object:
    if ".py" in text:  # a file of one's own is run, not parsed
        return None
    return with_teacher(benchmark("digits"), text)


@cache
def targets() -> dict[str, Target]:
    """By name."""
    return {
        "architecture": _text(_resolved, CELL, "17", "3-5-7-1", "8:16:24:32:40"),
        "seeds": _text(parse_seeds, "0", "0-2,5", "1,2,3"),
        "proxies": _text(create_all, "diswot:variant=paper,nwot", "vote", "all"),
        "recipe": _text(lambda text: (RecipeName.parse(text), recipe(text)), "digits", "cifar10-16px-short:batch=64"),
        "teacher": _text(_teacher, "best", "random:3", "resnet20", CELL, "trained", "17"),
        "cells": _file("cells.txt", lambda path: read_cells(path, space("nb201")), _texts(f"17\n# x\n{CELL}\n")),
        "labels": _file(
            "labels.csv",
            lambda path: read_rows(path, space("nb201")),
            _texts(f"arch,accuracy\n{CELL},70.5\n", "cell,seed,val,test\n3,0,50,60\n3,1,51,61\n"),
        ),
        "csv": _file("own.csv", read_csv, _texts("index,accuracy\n3,50.5\n4,60\n")),
        "diswot-json": _file("own.json", read_diswot_json, _texts('{"3": 70.5, "4": "60"}')),
        "resnet-depths": _file("own.txt", read_resnet_depths, _texts("1 3 5 70.5\n", "[1, 3, 5]: 70.5\n")),
        "table": _file("bytes", _table, _good_table),
        "store": _file("scores.sqlite", _store, _good_store),
        "manifest": _file("digits/manifest.json", _published, _texts("{}")),
        "tensors": _file("weights.pt", read_tensors, _good_tensors),
        "image": _file("image", _image, _good_image),
    }


@cache
def good(name: str) -> list[bytes]:
    """What a parser takes without an error."""
    with TemporaryDirectory() as folder:
        return targets()[name].good(Path(folder))


def tried(name: str, data: bytes, folder: Path) -> None:
    """Let a parser take bytes; every exception but BadInput passes through."""
    with suppress(BadInput):
        targets()[name].parse(data, folder)
