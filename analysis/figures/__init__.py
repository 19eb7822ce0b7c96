"""Figures from published scores and accuracies; deterministic, so that drawing them again changes no byte."""
