"""`python -m bench`."""

from common.entry import start

if __name__ == "__main__":
    start("bench.cli")
