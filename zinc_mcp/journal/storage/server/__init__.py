"""The connections to a PostgreSQL server."""
