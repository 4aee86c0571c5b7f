"""Sessions, batches, and how much is taken on."""
