"""Tests of the console's views."""
