"""`python -m distill`."""

from common.entry import start

if __name__ == "__main__":
    start("distill.cli")
