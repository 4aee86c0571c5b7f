"""Tests of `server.store`."""
