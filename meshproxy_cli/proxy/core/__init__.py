"""What the parts of the proxy share."""
