"""Reference data: files of rows, the model's answers to them, and the profile made of both."""
