"""Tests of what hostile clients are measured with."""
