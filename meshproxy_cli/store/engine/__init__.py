"""What is under the parts: the database, its schema, transactions, encryption, and bulk inserts."""
