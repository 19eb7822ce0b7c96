"""Search methods: one file a family, and their registry."""
