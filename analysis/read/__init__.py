"""What is stored, as columns by cell: labels, scores, costs, published numbers."""
