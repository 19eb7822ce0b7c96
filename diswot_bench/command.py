"""The console script `diswot-bench`."""

from __future__ import annotations

import sys

from diswot_bench.shadows import check


def main() -> None:
    """Run the command line. A foreign module in the place of one of ours ends it with one line and exit code 1."""
    if shadow := check():
        print(f"error: {shadow}", file=sys.stderr)
        sys.exit(1)
    from common.entry import start

    start("diswot_bench.app")
