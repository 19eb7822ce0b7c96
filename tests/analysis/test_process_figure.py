"""Weights over time: the heaviest pathways by name, the same bytes every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.figures.process import draw_all, weights
from common.errors import BadInput
from distill.process.pathways import between
from distill.process.process import Process
from distill.process.stages import STAGES

pytestmark = pytest.mark.slow

NAMES = tuple(map(str, between(STAGES[1:], ["T4"])))
LAST = np.linspace(0.9, 0.0, len(NAMES))
PROCESS = Process(NAMES, (0.0, 0.4, 1.0), (tuple([0.1] * 10), tuple([0.2] * 10), tuple(LAST.tolist())))


def test_the_heaviest_have_a_name_and_a_look_of_their_own() -> None:
    figure = weights(PROCESS, "title")
    (axes,) = figure.axes
    assert axes.get_xlabel()
    assert axes.get_ylabel()
    named = [line for line in axes.lines if "stage" in str(line.get_label()) or "pooled" in str(line.get_label())]
    assert [line.get_label() for line in named] == [
        name.replace("-", " to ", 1).replace("-", ", ") for name in NAMES[:5]
    ]
    for line, values in zip(named, np.array(PROCESS.weights).T, strict=False):
        np.testing.assert_array_equal(line.get_ydata(), values)
    # without colours: no two share line and marker
    assert len({(line.get_linestyle(), line.get_marker()) for line in named}) == 5
    assert {"equal weights", "5 others"} <= {str(line.get_label()) for line in axes.lines}
    equal = next(line for line in axes.lines if line.get_label() == "equal weights")
    assert equal.get_ydata()[0] == pytest.approx(np.mean(PROCESS.averages))


def test_every_process_of_a_folder_is_drawn_to_the_same_bytes(tmp_path: Path) -> None:
    PROCESS.write(tmp_path / "processes/a.json")
    PROCESS.variant("mean").write(tmp_path / "processes/b.json")
    written = draw_all(tmp_path / "processes", tmp_path / "once")
    assert [path.name for path in written] == [f"{name}-weights.{kind}" for name in "ab" for kind in ("svg", "png")]
    again = draw_all(tmp_path / "processes", tmp_path / "twice")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in written]
    (tmp_path / "processes/c.json").write_text("{")
    with pytest.raises(BadInput, match=r"c\.json"):
        draw_all(tmp_path / "processes", tmp_path / "once")
