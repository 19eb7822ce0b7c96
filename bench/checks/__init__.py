"""Checks of stored scores: made again and compared bit for bit, or beside those of another store."""
