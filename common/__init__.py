"""What every room needs: errors, files, hashes, worker pool, database, progress."""
