"""Scores networks and keeps the scores: benchmarks, plan, workers, store, published scores."""
