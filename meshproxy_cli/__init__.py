"""Coding agents through a Room Proxy: the command-line tool and the proxy itself."""

__version__ = "0.2.0.dev0"
