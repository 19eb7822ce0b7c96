"""`python -m search`."""

from common.entry import start

if __name__ == "__main__":
    start("search.cli")
