"""What shadows do to predictions: candidates as costly as the live version, and bad ones."""
