"""NATS-Bench's size space: one cell, five places, eight widths at each."""
