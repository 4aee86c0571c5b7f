"""Tests of the peers' requests, answers and processes."""
