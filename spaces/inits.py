"""Names of initialisations, here where they cost no import of torch."""

INITS = ("default", "kaiming", "gaussian")
"""What `spaces.draw.Draw` draws weights by."""
