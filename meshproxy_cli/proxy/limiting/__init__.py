"""Limits held across workers and machines: decided in memory, on leases that a thread of its own fetches."""
