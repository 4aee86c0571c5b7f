"""Hours of good and bad traffic with reloads and releases, and whether anything grows."""
