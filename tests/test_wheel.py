"""`make wheel` packs what is committed, and nothing else that lies around."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("make") is None, reason="there is no make on this machine"),
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no git clone"),
]

STRAYS = (
    "common/stray.py",
    "analysis/report/stray.js",
    "stray/__init__.py",
    "results/tables/stray.csv",
    "build/lib/old.py",
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A clone in which files lie that git does not keep, and one is edited that it does."""
    folder = tmp_path / "tree"
    subprocess.run(["git", "clone", "-q", "--depth", "1", ROOT.as_uri(), folder], check=True)
    for stray in STRAYS:
        (folder / stray).parent.mkdir(parents=True, exist_ok=True)
        (folder / stray).write_text("edited = True\n")
    (folder / "common/errors.py").write_text("edited = True\n")
    return folder


@pytest.fixture
def wheel(tree: Path) -> Path:
    # with this Python's own setuptools: a build in isolation would have to fetch one
    made = {**os.environ, "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INDEX": "1", "MAKEFLAGS": "", "MAKELEVEL": ""}
    words = ["make", "-o", f"{sys.prefix}/.core", "wheel", f"VENV={sys.prefix}"]
    ended = subprocess.run(words, cwd=tree, env=made, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stderr
    (found,) = (tree / "dist").glob("*.whl")
    return found


def test_the_wheel_is_of_what_is_committed_and_has_its_scores_wherever_it_is_put(tree: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name.rpartition("/data/share/diswot-bench/")[2] for name in archive.namelist()}
        assert b"edited = True" not in archive.read("common/errors.py")
    told = subprocess.run(["git", "ls-files"], cwd=tree, capture_output=True, text=True, check=True).stdout
    tracked = set(told.splitlines())
    assert not {name for name in packed - tracked if ".dist-info/" not in name}
    rooms = {
        name for name in tracked if name.endswith(".py") and name.split("/")[0] in ("common", "proxies", "analysis")
    }
    assert rooms <= packed
    assert "results/scores/digits/nwot.csv.gz" in packed
    target, elsewhere = tree.parent / "target", tree.parent / "elsewhere"
    elsewhere.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", target, wheel]
    subprocess.run(pip, check=True, capture_output=True, timeout=600)
    asked = "import diswot_bench as db; print(db.__file__, len(db.scores('digits', 'nwot')))"
    environment = {**os.environ, "PYTHONPATH": str(target)}
    told = subprocess.run(
        [sys.executable, "-c", asked], cwd=elsewhere, env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert told.split() == [str(target / "diswot_bench/__init__.py"), str(3 * 15_625)]
