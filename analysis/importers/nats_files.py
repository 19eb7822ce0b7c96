"""Which of NATS-Bench's files somebody has named: what is no benchmark of the space is told before it is unpickled."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from common.errors import BadInput
from spaces.nats_sizes.space import SIZES
from spaces.nb201.space import NB201
from spaces.space import Space


class Published(NamedTuple):
    """A space of NATS-Bench: the importer that reads it, and what its folder of parts is called."""

    format: str
    space: Space
    folder: str


SPACES = {
    "tss": Published("nats-bench", NB201, "NATS-tss-v1_0-3ffb9-simple"),
    "sss": Published("nats-bench-size", SIZES, "NATS-sss-v1_0-50262-simple"),
}
"""By what the package calls them."""
PART = re.compile(r"(\d{1,6}|meta)\.pickle\.pbz2")
_META = "meta.pickle.pbz2"


def check_path(name: str, path: Path) -> None:
    """Raises BadInput for an archive, a part, a folder around, and what is called as the other space."""
    wanted = SPACES[name]
    if path.name.endswith((".tar", ".tar.gz", ".tgz")):
        raise BadInput(f"{path} is an archive: unpack it with `tar xf`, and name the folder {wanted.folder} in it")
    if path.is_file() and PART.fullmatch(path.name):
        raise BadInput(f"{path} is one part of a benchmark: name its folder, {path.resolve().parent}")
    for other, published in SPACES.items():
        if other != name and f"NATS-{other}" in path.name:
            raise _of_other(path, published)
    if path.is_dir() and not (path / _META).is_file():
        inside = sorted(path.glob(f"NATS-{name}-*.pickle.pbz2")) + sorted(
            found.parent for found in path.glob(f"*/{_META}")
        )
        named = [str(found) for found in inside if f"NATS-{name}" in found.name] or [str(path / wanted.folder)]
        raise BadInput(f"{path} has no {_META}, which the folder of a benchmark has: name {named[0]}")


def check_space(name: str, path: Path, architectures: Sequence[object]) -> None:
    """Raises BadInput where the file's own list is that of the other space, whatever the file is called."""
    first = next(iter(architectures), None)
    for other, published in SPACES.items():
        if other != name and len(architectures) == len(published.space) and first == str(published.space.at(0)):
            raise _of_other(path, published)


def _of_other(path: Path, published: Published) -> BadInput:
    return BadInput(
        f"{path} is of the space {published.space.name}: `python -m analysis import {published.format}` reads it"
    )
