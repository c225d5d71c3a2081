"""Search indexes on a server, for a collection that has outgrown one machine. SQLite stays the truth."""
