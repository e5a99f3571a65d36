"""What the Tab key does: scripts for four shells, their installation, and the names that are offered."""
