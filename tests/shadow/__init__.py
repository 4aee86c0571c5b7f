"""Tests of the shadow process."""
