"""Servers that users would pick instead, each as its own documentation says for throughput."""
