"""One proxy's scores against labels, as `analysis correlate` draws them from the store."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from analysis.studies.correlate import Result


def scatter(result: Result, benchmark: str, against: str, cell_set: str, quantity: str, output: Path) -> Path:
    """Score against label, one dot a cell; saved as `<benchmark>-<proxy>-<against>.png`."""
    figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
    axes.scatter(result.pairs["score"], result.pairs["label"], s=12, color="black", alpha=0.5, linewidths=0)
    correlation = result.correlation
    axes.set_title(
        f"{benchmark}, {correlation.n} cells of the set '{cell_set}'\n"
        f"Spearman {correlation.spearman:.2f} [{correlation.spearman_low:.2f}, {correlation.spearman_high:.2f}], "
        f"Kendall {correlation.kendall:.2f}",
        fontsize=10,
    )
    axes.set_xlabel(f"{result.proxy} score" + (f", mean of {len(result.seeds)} seeds" if len(result.seeds) > 1 else ""))
    axes.set_ylabel(quantity)
    axes.grid(alpha=0.3)
    name = re.sub(r"[^A-Za-z0-9.=_-]+", "_", f"{benchmark}-{result.proxy}-{Path(against).stem}")
    path = output / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, metadata={"Software": None})
    plt.close(figure)
    return path
