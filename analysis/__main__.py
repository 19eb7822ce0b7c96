"""`python -m analysis`."""

from analysis.cli import app
from common.cli import run

if __name__ == "__main__":
    run(app)
