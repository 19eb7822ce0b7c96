"""Options that the command lines share, each written once: name, type and what `--help` says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

CELLS = "all, valid, unique, functions (of ResNets: all), labelled, or a file, a cell a line"
PROXIES = "Names joined by commas (diswot:variant=paper sets a field), or all."

Data = Annotated[Path | None, typer.Option("--data", help="Folder with the data set, where it needs one.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON array on standard output.")]
Workers = Annotated[int | None, typer.Option("--workers", help="Processes; default one a core.")]
