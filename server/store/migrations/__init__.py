"""Steps from each revision of the schema to the next; alembic runs them, oldest first."""
