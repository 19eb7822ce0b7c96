"""`python -m bench`."""

from bench.cli import app
from common.cli import run

if __name__ == "__main__":
    run(app)
