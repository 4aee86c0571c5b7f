"""Answered rows in Parquet files: how they are written, and read back to be replayed."""
