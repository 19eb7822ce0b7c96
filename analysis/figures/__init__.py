"""Figures from published scores and accuracies; deterministic, so that drawing them again changes no byte."""

from analysis.figures.draw import FOLDER, draw_all, draw_one
from analysis.figures.process import draw_all as draw_processes
from analysis.figures.speed import draw_all as draw_speeds
from analysis.figures.subgraph import draw_all as draw_subgraphs

__all__ = ["FOLDER", "draw_all", "draw_one", "draw_processes", "draw_speeds", "draw_subgraphs"]
