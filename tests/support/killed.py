"""`python -m killed N PACKAGE WORDS...`: a command that kills itself when its file number N, from 0, is to take its
place: what a power cut or an impatient scheduler does at the worst moment.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module

import common.cli
import common.files


def main() -> None:
    left, package = int(sys.argv[1]), sys.argv[2]
    sys.argv = sys.argv[2:]
    replace = os.replace

    def until_killed(source: object, target: object) -> None:
        nonlocal left
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        replace(source, target)  # type: ignore[arg-type]

    common.files.os.replace = until_killed  # type: ignore[assignment]
    common.cli.run(import_module(f"{package}.cli").app)


if __name__ == "__main__":
    main()
