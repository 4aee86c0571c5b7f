"""Proof: the gateway side by side with the servers that users would pick instead."""
