"""Usage: read from the bytes of answers as they go by, and priced."""
