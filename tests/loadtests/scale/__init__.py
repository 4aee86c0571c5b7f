"""The arithmetic of scale, without a gateway."""
