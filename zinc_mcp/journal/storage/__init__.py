"""The database below the journal: tables, rows, schema, SQLite and PostgreSQL."""
