"""Reads what is stored, trains and scores nothing: correlations, tables, figures, pages, the report."""
