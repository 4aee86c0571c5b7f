"""Counts, and what they say about change. Pure: no clock, no event loop, no files."""
