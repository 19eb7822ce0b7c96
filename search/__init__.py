"""Find a student with a score: DisWOT's Algorithm 1, and its rivals on the same budget."""
