"""Who may ask for what: roles, keys, sessions, and the one place where a request is let in."""
