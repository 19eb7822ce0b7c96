"""Figures from published scores and accuracies; deterministic, so that drawing them again changes no byte."""

from analysis.figures.draw import FOLDER, draw_all
from analysis.figures.single import scatter

__all__ = ["FOLDER", "draw_all", "scatter"]
