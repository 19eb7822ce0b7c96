"""Studies of what evolution has found: formulas beside the proxies that are made by hand."""
