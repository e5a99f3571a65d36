"""Which room an answer belongs to."""
