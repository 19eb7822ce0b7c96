"""What a proxy's ranking is made of (`studies/variance.py`), in percent of the variance of its ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from analysis.studies.variance import Shares
from analysis.typeset import Column, Table, number, whole, words


def _percent(head: str, key: str) -> Column:
    return Column(head, lambda row: number(100 * row[key], 0), key)


COLUMNS = (
    words("proxy"),
    _percent("cell", "cell_own"),
    _percent("weights", "weights_own"),
    _percent("images", "images_own"),
    _percent("rest", "rest_own"),
    whole("n"),
    _percent("cell", "cell"),
    _percent("weights", "weights"),
    _percent("images", "images"),
    _percent("init", "init"),
    _percent("rest", "rest"),
    whole("failed"),
)


def frame(found: Sequence[Shares]) -> pd.DataFrame:
    """One row a proxy, a column a field of `Shares`."""
    return pd.DataFrame([asdict(one) for one in found])


def table(frame: pd.DataFrame, benchmark: str, made: Mapping[str, Any] | None) -> Table:
    """The table of a crossing; `made` is what the JSON file beside it says, where it is there."""
    sizes = "; {sample} functions x {draws} draws of weights x {draws} of images".format_map(made) if made else ""
    caption = (
        f"{benchmark}: shares of the variance of a proxy's ranks, in percent{sizes}. First under the proxy's own "
        "initialisation, then over that and another one (`init`: PyTorch's default or Kaiming). `cell`: what one score "
        "tells."
    )
    return Table(frame, caption, COLUMNS)
