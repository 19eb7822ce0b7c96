"""Trains students and teachers: losses, recipes, accuracy tables, learned processes."""
