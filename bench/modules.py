"""Files of the user's, given as --module: what each may define, and whether it does."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from common import modules
from common.errors import BadInput


def use(files: Iterable[Path]) -> None:
    """Make known the proxies, data sets, spaces and benchmarks of files, in place of those used before.

    Raises BadInput for a file that is missing, raises an error, defines none of these, or takes a name.
    """
    modules.use(files)
    if not modules.in_use():
        return
    from bench.benchmarks import benchmarks_in, names
    from images.registry import data_sets, data_sets_in
    from proxies.registry import known, proxies_in
    from spaces.registry import spaces, spaces_in

    for path in modules.in_use():
        module = modules.load(path)
        if not any(held(module) for held in (proxies_in, data_sets_in, spaces_in, benchmarks_in)):
            raise BadInput(f"--module {path}: defines no proxy, data set, space or benchmark")
    known(modules.in_use()), data_sets(), spaces(), names()  # each name stands for one thing
