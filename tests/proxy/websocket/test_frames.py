"""Frames and messages, cut from a stream in any pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame as Wire
from websockets.frames import Opcode as WireOpcode

from meshproxy_cli.proxy.websocket.frames import (
    FrameError,
    Message,
    MessageReader,
    MessageTooLargeError,
    Opcode,
    client_frame,
    close_frame,
    text_frame,
)

LIMIT = 200_000
SIZES = st.sampled_from([0, 1, 125, 126, 127, 65_535, 65_536, 70_000])


def wire(opcode: Opcode, payload: bytes, *, fin: bool = True, mask: bool = True) -> bytes:
    return Wire(WireOpcode(opcode), payload, fin).serialize(mask=mask)


def read(data: bytes, *, step: int | None = None, masked: bool = True, limit: int = LIMIT) -> list[Message]:
    reader = MessageReader(masked=masked, limit=limit)
    size = step or len(data) or 1
    return [one for start in range(0, len(data), size) for one in reader.feed(data[start : start + size])]


@given(sizes=st.lists(SIZES, min_size=1, max_size=4), step=st.sampled_from([None, 1000, 4097]), masked=st.booleans())
def test_messages_are_what_was_sent(sizes: list[int], step: int | None, *, masked: bool) -> None:
    payloads = [bytes([number + 65]) * size for number, size in enumerate(sizes)]
    sent = [wire(Opcode.TEXT, payload, mask=masked) for payload in payloads]
    found = read(b"".join(sent), step=step, masked=masked)
    assert [(one.opcode, one.raw, one.payload) for one in found] == [
        (Opcode.TEXT, raw, payload) for raw, payload in zip(sent, payloads, strict=True)
    ]


def test_fragments_are_put_together_and_control_frames_between_them_come_first() -> None:
    parts = [
        wire(Opcode.BINARY, b"one", fin=False),
        wire(Opcode.PING, b"beat"),
        wire(Opcode.CONTINUATION, b"", fin=False),
        wire(Opcode.CONTINUATION, b"two"),
    ]
    for step in (1, 3, None):
        ping, whole = read(b"".join(parts), step=step)
        assert (ping.opcode, ping.payload, ping.raw) == (Opcode.PING, b"beat", parts[1])
        assert (whole.opcode, whole.payload) == (Opcode.BINARY, b"onetwo")
        assert whole.raw == parts[0] + parts[2] + parts[3]


@pytest.mark.parametrize(
    "data",
    [
        wire(Opcode.TEXT, b"x", mask=False),
        wire(Opcode.CONTINUATION, b"x"),
        wire(Opcode.TEXT, b"x", fin=False) + wire(Opcode.TEXT, b"y"),
        b"\xc1\x80" + bytes(4),
        b"\x83\x80" + bytes(4),
        b"\x8b\x80" + bytes(4),
        b"\x09\x80" + bytes(4),
        b"\x89\xfe\x00\x7e" + bytes(4),
    ],
    ids=["unmasked", "continuation", "nested", "reserved", "data-kind", "control-kind", "fragment", "long"],
)
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(FrameError):
        read(data)


def test_a_mask_of_the_provider_is_refused() -> None:
    with pytest.raises(FrameError):
        read(wire(Opcode.TEXT, b"x"), masked=False)


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\xff" + (101).to_bytes(8, "big") + bytes(4),
        b"\x81\xff" + (2**63).to_bytes(8, "big") + bytes(4),
        wire(Opcode.TEXT, b"x" * 60, fin=False) + wire(Opcode.CONTINUATION, b"x" * 41),
    ],
)
def test_a_message_has_a_limit(data: bytes) -> None:
    assert read(wire(Opcode.TEXT, b"x" * 100), limit=100)
    with pytest.raises(MessageTooLargeError):
        read(data, limit=100)


def test_what_is_held_is_part_of_a_frame() -> None:
    reader = MessageReader(masked=False, limit=LIMIT)
    assert reader.feed(text_frame(b"whole") + text_frame(b"in parts")[:4])
    assert (reader.held, reader.inside_message) == (4, False)
    assert reader.feed(text_frame(b"in parts")[4:])
    assert reader.held == 0
    reader.feed(b"\x01\x01a")
    assert (reader.held, reader.inside_message) == (0, True)


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_our_own_messages(size: int) -> None:
    payload = b"x" * size
    assert text_frame(payload) == wire(Opcode.TEXT, payload, mask=False)
    (message,) = read(client_frame(Opcode.BINARY, payload))
    assert (message.opcode, message.payload) == (Opcode.BINARY, payload)
    assert client_frame(Opcode.TEXT, b"xxxx") != client_frame(Opcode.TEXT, b"xxxx"), "each has a mask of its own"


def test_a_goodbye_fits_into_a_control_frame() -> None:
    assert close_frame(1001, "the server is restarting") == b"\x88\x1a\x03\xe9the server is restarting"
    (long,) = read(close_frame(1008, "ä" * 100), masked=False)
    assert len(long.payload) <= 125
    assert long.payload[2:].decode()


@pytest.mark.parametrize("payload", [b"", b"x"])
def test_fragments_without_end_do_not_fill_the_memory(payload: bytes) -> None:
    reader = MessageReader(masked=True, limit=LIMIT)
    reader.feed(wire(Opcode.TEXT, b"", fin=False))
    fragments = wire(Opcode.CONTINUATION, payload, fin=False) * LIMIT
    with pytest.raises(MessageTooLargeError):
        reader.feed(fragments)
    assert len(reader._raw) < LIMIT / 100
