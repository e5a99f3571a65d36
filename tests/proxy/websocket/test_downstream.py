"""What a websocket's client gets: the provider's bytes, and ours between them."""

import pytest

from meshproxy_cli.proxy.websocket.downstream import Downstream
from meshproxy_cli.proxy.websocket.frames import Opcode, text_frame

OURS = text_frame(b"ours")
WHOLE = text_frame(b"the provider's")
PARTS = b"\x01\x02a-" + b"\x00\x02b-" + b"\x80\x01c"


class Client:
    def __init__(self) -> None:
        self.got = b""

    def send(self, data: bytes) -> None:
        self.got += data


def downstream(limit: int = 1000) -> tuple[Downstream, Client]:
    client = Client()
    return Downstream(client, limit), client  # type: ignore[arg-type]  # all that it needs of a client


def test_between_two_messages_ours_goes_at_once() -> None:
    way, client = downstream()
    way.insert(OURS)
    assert [one.payload for one in way.read(WHOLE)] == [b"the provider's"]
    way.send(WHOLE)
    way.insert(OURS)
    assert client.got == OURS + WHOLE + OURS


@pytest.mark.parametrize("said", [WHOLE, PARTS], ids=["frame", "fragments"])
@pytest.mark.parametrize("follows", [b"", WHOLE, WHOLE[:5]], ids=["nothing", "message", "part"])
def test_ours_never_stands_inside_a_message(said: bytes, follows: bytes) -> None:
    for cut in range(1, len(said)):
        way, client = downstream()
        for data in (said[:cut], said[cut:] + follows):
            way.read(data)
            way.send(data)
            if data == said[:cut]:
                way.insert(OURS)
                assert client.got == said[:cut]
        rest = follows if len(follows) < len(WHOLE) else b""
        assert client.got == said + follows[: len(follows) - len(rest)] + OURS + rest


def test_ours_does_not_overtake_what_is_being_looked_at() -> None:
    way, client = downstream()
    for data in (WHOLE[:5], WHOLE[5:]):
        way.read(data)
        if data == WHOLE[5:]:
            way.insert(OURS)
        way.send(data)
    assert client.got == WHOLE + OURS


def test_what_cannot_be_read_goes_through_and_ours_does_not() -> None:
    way, client = downstream(limit=5)
    assert way.readable
    assert way.read(WHOLE) == []
    assert not way.readable
    way.send(WHOLE)
    way.insert(OURS)
    assert way.read(WHOLE) == []
    way.send(WHOLE)
    assert client.got == WHOLE + WHOLE


def test_control_frames_come_out_too() -> None:
    way, _ = downstream()
    assert [one.opcode for one in way.read(b"\x89\x00" + PARTS)] == [Opcode.PING, Opcode.TEXT]
