"""Model files: what the repository holds, private copies of it, and whether it can be served."""
