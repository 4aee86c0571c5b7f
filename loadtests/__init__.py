"""Measurements of the real gateway under load. Read README.md before you read a number."""
