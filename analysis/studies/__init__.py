"""Questions asked of scores and labels, a file each."""
