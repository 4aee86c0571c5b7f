"""Tests of what is watched of a model, and of what it means."""
