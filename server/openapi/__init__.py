"""The description of both ports' HTTP interface, in the form of OpenAPI 3.1."""
