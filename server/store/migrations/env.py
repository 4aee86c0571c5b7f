"""What alembic runs to migrate: on the connection, and in the transaction, that it is given.

With alembic's own command (`alembic revision`) there is none, and none is needed.
"""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
