"""`python -m search`."""

from common.cli import run
from search.cli import app

if __name__ == "__main__":
    run(app)
