"""Tests of what is shipped for Prometheus, held to the gateway's own verdicts."""
