"""Where the files lie that come with the project: beside the packages in a clone, elsewhere once it is installed."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from pathlib import Path

DISTRIBUTION = "diswot-bench"
MARK = "docs/references.bib"
"""The file by which the folder is known."""


@cache
def home() -> Path | None:
    """The Path of the folder that holds `docs/` and `results/` as they were shipped; None where nothing was."""
    clone = Path(__file__).parents[1]
    if (clone / MARK).is_file():
        return clone
    try:
        installed = metadata.files(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return None
    mark = f"share/{DISTRIBUTION}/{MARK}"
    marks = [Path(str(file.locate())) for file in installed if file.as_posix().endswith(mark)]
    found = next(filter(Path.is_file, [*marks, clone / mark]), None)  # `pip install --target` puts it elsewhere
    return found.resolve().parents[1] if found else None


def here_or_shipped(path: Path) -> Path:
    """The Path itself, or where there is no such file, and it is relative, what was shipped at the same place."""
    folder = home()
    if path.exists() or path.is_absolute() or folder is None or not (folder / path).exists():
        return path
    return folder / path
