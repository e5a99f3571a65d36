"""Websockets: tunnels, frames, turns."""
