"""`python -m bench`."""

import sys

try:
    from common.entry import start
except ModuleNotFoundError:
    way = sys.modules["common"].__file__
    sys.exit(f"error: {way} stands in the way of the package 'common' of diswot-bench: rename it, or work elsewhere")

if __name__ == "__main__":
    start("bench.cli")
