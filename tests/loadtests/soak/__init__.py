"""The arithmetic of the soak, without a gateway."""
