"""Websockets: relayed as they come, with models checked and usage read on the way."""
