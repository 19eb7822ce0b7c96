"""What scoring costs: rates beside conventional loops, growth of time and memory, cost of a proxy, noise of a score."""
