"""Three servers on one PostgreSQL behind nginx, with members that order while servers and the database fail."""
