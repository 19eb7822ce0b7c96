"""Checks of scores: what a proxy returned, and what is stored, made again or beside those of another store."""
