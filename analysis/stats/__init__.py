"""Statistics of rankings: pure numbers, no files."""
