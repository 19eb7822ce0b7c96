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
SPEED = RESULTS / "speed"
SEARCHES = RESULTS / "searches"
FORMULAS = RESULTS / "formulas"
"""Formulas that searches have found, and their values."""
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
FORMULA_STORE = STORE / "formulas.sqlite"
CHECKPOINTS = STORE / "checkpoints"
REHEARSAL = STORE / "rehearsal"
HUB = STORE / "hub"
SCATTERS = STORE / "figures"
"""One proxy's scores against labels, as `analysis correlate` draws them."""
IMAGES = STORE / "images"
"""Constants of images of one's own, by content."""
