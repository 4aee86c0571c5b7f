"""Whether the gateway keeps serving what it can when it is asked for more."""
