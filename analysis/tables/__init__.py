"""Tables of results, a file each."""
