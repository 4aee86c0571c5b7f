"""Captured rows: columns, files, and back."""
