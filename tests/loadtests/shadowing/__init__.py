"""How shadows are measured."""
