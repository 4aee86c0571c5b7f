"""Tests of HTTP as both ports speak it."""
