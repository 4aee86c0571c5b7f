"""Tests of `server/release/`."""
