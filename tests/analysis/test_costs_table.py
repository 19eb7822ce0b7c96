"""Measured costs are read as they lie there."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.read.costs import forwards
from common.errors import BadInput


def test_forward_passes_by_proxy_without_the_sum(tmp_path: Path) -> None:
    (tmp_path / "digits.csv").write_text("proxy,seconds,forwards\nnwot,0.01,1.38\nall,0.6,59.5\n")
    assert forwards(tmp_path, "digits") == {"nwot": 1.38}


def test_nothing_measured_is_no_error_and_another_file_is(tmp_path: Path) -> None:
    assert forwards(tmp_path, "digits") == {}
    (tmp_path / "digits.csv").write_text("proxy,minutes\nnwot,1\n")
    with pytest.raises(BadInput, match="measure again"):
        forwards(tmp_path, "digits")
