"""What the parts stand on: connections, transactions, the schema, encryption and bulk inserts."""
