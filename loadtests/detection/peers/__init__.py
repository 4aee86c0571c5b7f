"""Programs that run in a peer's own environment: rows come as npz, answers go back as JSON."""
