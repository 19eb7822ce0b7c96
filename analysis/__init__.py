"""Correlations, tables, figures: reads stored scores and accuracy tables, trains and scores nothing."""
