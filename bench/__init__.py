"""Score cells: benchmarks (named settings), plan, workers, score store, command line."""
