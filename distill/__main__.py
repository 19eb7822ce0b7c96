"""`python -m distill`."""

from common.cli import run
from distill.cli import app

if __name__ == "__main__":
    run(app)
