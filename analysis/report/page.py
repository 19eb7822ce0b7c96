"""The page: contents, template, style and scripts in one file that asks the network for nothing."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from analysis.report.contents import Contents, contents
from analysis.report.own import MARK
from analysis.report.words import COLUMNS, WORDS
from analysis.typeset import number
from common.errors import BadInput
from common.files import gzip_bytes
from common.formats import write_text

HERE = Path(__file__).parent
SCRIPTS = ("theme.js", "contents.js", "tables.js", "cell.js", "scatter.js", "main.js")
"""In the order in which they are joined: one script, one scope."""


def write(results: Path, output: Path, store: Path | None = None) -> Contents:
    """Write the page of what lies under `results`, and of the user's scores in `store`.

    Raises BadInput for what cannot be read, and without Plotly.
    """
    plotly = _plotly()
    found = contents(results, store)
    write_text(output, render(found, plotly))
    return found


def render(found: Contents, plotly: str) -> str:
    """The text of the page; `plotly` is the library's bundle."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    data = {section.setting.name: section.points for section in found.sections if section.points}
    return environment.get_template("page.html.j2").render(
        contents=found,
        columns=COLUMNS,
        words=WORDS,
        mark=MARK,
        number=number,
        style=Markup((HERE / "style.css").read_text(encoding="utf-8")),
        script=Markup("\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)),
        plotly=base64.b64encode(gzip_bytes(plotly.encode())).decode(),
        data=Markup(script_json(data)),
    )


def script_json(value: Any) -> str:
    """JSON that can stand in a script element: it holds no `<`, so nothing in it ends the element."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError:
        raise BadInput(
            "the report needs plotly: `make report` installs it, or `pip install 'diswot-bench[report]'`"
        ) from None
    return str(get_plotlyjs())
