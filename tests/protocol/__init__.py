"""Tests of server/protocol: bytes to tensors and back, no sockets, no models."""
