"""Tests of the side by side runs."""
