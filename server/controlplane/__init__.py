"""The control process: what shall be served, what was, and the port that tells and changes it."""
