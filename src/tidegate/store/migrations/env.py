"""Alembic's entry point: runs revisions on the connection that `store.migrate` hands over."""

from alembic import context
from sqlalchemy import Connection, text

connection: Connection = context.config.attributes["connection"]
connection.execute(text("create schema if not exists tidegate"))
connection.execute(text("create schema if not exists stripe"))
connection.commit()  # else all revisions share this transaction, and none may build an index beside the readers
context.configure(connection=connection, version_table_schema="tidegate", transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
connection.commit()
