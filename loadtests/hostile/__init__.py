"""Clients that do what none should: slow ones, those that leave, poison, and bytes at random."""
