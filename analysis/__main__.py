"""`python -m analysis`."""

from common.entry import start

if __name__ == "__main__":
    start("analysis.cli")
