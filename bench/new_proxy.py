"""`make new-proxy NAME=mine`: one new file in proxies/, which the registry finds and the test suite tests."""

from __future__ import annotations

import keyword
from pathlib import Path

import proxies
from common.errors import BadUsage
from common.formats import write_text
from common.shipped import MARK
from proxies.facts import wrong_name
from proxies.registry import known

_TEMPLATE = '''"""{name}: what it says of an untrained network, in one line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxies.base import Proxy, Reference

if TYPE_CHECKING:
    from probe.network import Probe


@dataclass(frozen=True)
class {cls}(Proxy):
    """Mean of the last feature map over images, channels and space. Put your formula here, and below."""

    name = "{name}"
    version = 1  # raise it when the formula changes, and scores of the old one stay beside those of the new one
    family = "activation"
    # what the probe must record: "forward", "gradients", "teacher" and others, listed in probe/needs.py
    needs = ("forward",)
    # what the score can depend on: the live "function", all "relus", every "executed" operation, all "parameters", the
    # "cell" itself
    sees = "function"
    reference = Reference(title="{name} (unpublished)", year={year}, arxiv="", bibtex="")

    # further fields are hyper-parameters: `{name}:power=2` on the command line
    power: float = 1.0

    def score(self, student: Probe, teacher: Probe) -> float:
        return student.pooled.pow(self.power).mean().item()
'''


def own_tree() -> Path | None:
    """The folder of the proxies of the clone that is worked in; None where the project is installed, or elsewhere."""
    folder = Path(proxies.__path__[0]).resolve()
    cloned = (folder.parent / MARK).is_file() and Path.cwd().resolve().is_relative_to(folder.parent)
    return folder if cloned else None


def create(name: str, year: int, folder: Path | None = None) -> Path:
    """Write `<name>.py` into a folder, by default `own_tree`, else the current one.

    Raises BadUsage for a name that cannot be one, or is taken.
    """
    if wrong := wrong_name(name):
        raise BadUsage(f"proxy {wrong}")
    if keyword.iskeyword(name):
        raise BadUsage(f"proxy name '{name}' is a word of Python, which no module can have: choose another name")
    path = (folder or own_tree() or Path()) / f"{name}.py"
    if name in known() or path.exists():
        raise BadUsage(f"there is a proxy or a file named '{name}' already: choose another name")
    cls = "".join(part.capitalize() for part in name.split("_"))
    write_text(path, _TEMPLATE.format(name=name, cls=cls, year=year))
    return path
