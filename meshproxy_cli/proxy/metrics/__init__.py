"""Counters, and what other processes counted."""
