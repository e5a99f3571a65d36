"""Connections to providers, and the credential that a session keeps."""
