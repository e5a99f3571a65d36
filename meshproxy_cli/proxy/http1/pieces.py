"""Bytes that come in pieces, kept without joining the large ones and without an object for each small one."""

_SMALL = 4096
_LARGEST = 1024 * 1024

Piece = bytes | bytearray


def append(pieces: list[Piece], data: bytes) -> None:
    """Add a piece: what comes byte by byte is not to take many times its size."""
    if not pieces or len(data) > _SMALL:
        pieces.append(data)
    elif isinstance(last := pieces[-1], bytearray) and len(last) < _LARGEST:
        last += data
    else:
        pieces.append(bytearray(data))
