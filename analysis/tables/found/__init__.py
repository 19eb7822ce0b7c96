"""Tables of rankings that were found: learned from labels, and formulas."""
