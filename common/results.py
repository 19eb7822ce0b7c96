"""Where each kind of file lies under results/; results/README.md says what is in them, common/formats.py reads them."""

from __future__ import annotations

from pathlib import Path

RESULTS = Path("results")

ACCURACIES = RESULTS / "accuracies"
"""Accuracy tables, each beside its recipe."""
RECIPES = RESULTS / "recipes"
"""Accuracy tables of recipes that were compared before one was chosen."""
SCORES = RESULTS / "scores"
"""Published scores, a folder a benchmark."""
COSTS = RESULTS / "costs"
CROSSINGS = RESULTS / "crossings"
PREDICTIONS = RESULTS / "predictions"
"""Studies of rankings that learn from a few labels."""
SPEED = RESULTS / "speed"
SEARCHES = RESULTS / "searches"
SUBGRAPHS = RESULTS / "subgraphs"
PROCESSES = RESULTS / "processes"
DISTILLATION = RESULTS / "distillation"
"""Comparisons of losses and processes on one pair of networks."""
TABLES = RESULTS / "tables"
FIGURES = RESULTS / "figures"

STORE = RESULTS / "store"
"""What runs keep and nobody commits: databases, checkpoints, rehearsals."""
SCORE_STORE = STORE / "scores.sqlite"
ACCURACY_STORE = STORE / "accuracies.sqlite"
CHECKPOINTS = STORE / "checkpoints"
REHEARSAL = STORE / "rehearsal"
HUB = STORE / "hub"
RANKINGS = STORE / "rankings"
"""Rankings of all functions, learned from labels."""
SCATTERS = STORE / "figures"
"""One proxy's scores against labels, as `analysis correlate` draws them; all figures against a file of the user's."""
OWN_TABLES = STORE / "tables"
"""Leaderboards against a file of the user's."""
OWN_REPORT = STORE / "report"
"""Figures that show the user's scores too, as the report draws them."""
IMAGES = STORE / "images"
"""Constants of images of one's own, by content."""
