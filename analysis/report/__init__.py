"""One self-contained HTML page of all that is stored under results/; the same inputs give the same bytes."""

from analysis.report.page import write

__all__ = ["write"]
