"""The database: the engine, the embedded server, bulk writing and migrations; it knows no domain."""
