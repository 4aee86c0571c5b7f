"""What is watched of a model, and what it means. Pure: no clock, no event loop, no files."""
