"""Tests of reference data: files, how they fit a model, and the profiles made of them."""
