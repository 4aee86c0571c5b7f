"""Tests of what the peers' programs have in common."""
