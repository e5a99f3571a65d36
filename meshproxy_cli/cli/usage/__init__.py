"""`meshproxy usage`: tokens and cost, summed up, live, or event by event."""
