"""Commands about participant tokens."""
