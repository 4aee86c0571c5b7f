"""The arithmetic of the measurements of detection."""
