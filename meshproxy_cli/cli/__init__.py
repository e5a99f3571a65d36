"""What a person types: each module parses, calls and prints."""
