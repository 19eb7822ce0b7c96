"""What every room needs and none owns: errors for people, files written whole, hashes, a supervised worker pool."""
