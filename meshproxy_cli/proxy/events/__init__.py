"""Usage events: recorded, spooled, shipped, kept and observed."""
