"""How often the gates of a release are right, simulated with the product's own functions."""
