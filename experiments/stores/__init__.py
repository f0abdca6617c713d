"""Where events are kept: one `EventStore` on SQLite or on PostgreSQL."""
