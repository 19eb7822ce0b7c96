"""Finds a student: DisWOT's Algorithm 1, its rivals on the same budget, subgraphs of a teacher; finds formulas."""
