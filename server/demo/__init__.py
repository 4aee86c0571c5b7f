"""What `tidegate demo` plays: real rows, a story, and who carries it out."""
