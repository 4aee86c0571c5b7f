"""Faults, each with what it costs: status, code and text, and that all else goes on."""
