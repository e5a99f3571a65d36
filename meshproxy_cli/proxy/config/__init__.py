"""server.toml: sections, providers, targets, header rules."""
