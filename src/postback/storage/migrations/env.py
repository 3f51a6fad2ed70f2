"""Alembic's own entry: it runs the revisions on the connection, and in the transaction, that `upgrade` was given."""

from alembic import context

from postback.storage.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    # SQLite alters a table by copying it.
    render_as_batch=True,
)
context.run_migrations()
