"""The console: pages for people, rendered here from what control knows."""
