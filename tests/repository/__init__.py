"""What is in the repository, its settings, private copies and checks."""
