"""Formulas over what probes record, found by evolution: recorded statistics, expressions, a search, its control."""
