"""The worker process: predictions, health and metadata on the data port."""
