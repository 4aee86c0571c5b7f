"""Bytes to tensors and back. Pure: no clock, no event loop, no files."""
