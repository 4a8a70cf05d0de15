"""Many studies to one table: planned, journalled, resumed."""
