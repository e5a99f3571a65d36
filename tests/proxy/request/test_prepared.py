import pytest

from meshproxy_cli.proxy.core.routes import ProviderRoute, match
from meshproxy_cli.proxy.http1.head import read_request_head
from meshproxy_cli.proxy.request.prepared import Prepared

PATH = b"/rooms/r/openai/v1/responses"


def prepared(*fields: bytes, method: bytes = b"POST") -> tuple[bytes, Prepared]:
    block = b"\r\n".join([method + b" " + PATH + b" HTTP/1.1", b"Host: h", *fields, b"", b""])
    route = match(method, PATH)
    assert isinstance(route, ProviderRoute)
    return block, Prepared(block, read_request_head(block), route)


@pytest.mark.parametrize("line", [b"Content-Length: 5", b"content-length:5", b"CONTENT-LENGTH: \t5 \t"])
@pytest.mark.parametrize("length", [b"5", b"0", b"12345", b"007", b"999999999999999"])
def test_the_same_head_with_another_length_is_known(line: bytes, length: bytes) -> None:
    block, one = prepared(b"A: 1", line, b"B: 2")
    again = block.replace(b"5", length)
    assert one.repeats(again + b"body") == len(again)
    assert one.head.length == int(length)


def test_a_head_without_a_length_is_known() -> None:
    block, one = prepared(method=b"GET")
    assert one.repeats(block + b"GET") == len(block)
    assert one.head.length == 0


@pytest.mark.parametrize(
    "other",
    [
        b"", b"5x", b"-5", b"+5", b" 5", b"5 ", b"5, 5", b"5\r\nContent-Length: 6", b"1" * 16, b"0x5", b"\xb2",
        b"5\r\nTransfer-Encoding: chunked", b"5\r\n\r\nPOST / HTTP/1.1\r\nHost: h",
    ],
)  # fmt: skip
def test_a_length_that_is_no_plain_number_is_not_taken(other: bytes) -> None:
    block, one = prepared(b"Content-Length: 5", b"B: 2")
    assert one.repeats(block.replace(b"Content-Length: 5", b"Content-Length: " + other)) == 0
    assert one.head.length == 5


@pytest.mark.parametrize(
    ("old", "new"), [(b"B: 2", b"B: 3"), (b"Host: h", b"Host: i"), (b"POST", b"PUT"), (b"2", b"2\r\nC: 3")]
)
def test_another_head_is_another_head(old: bytes, new: bytes) -> None:
    block, one = prepared(b"A: 1", b"Content-Length: 5", b"B: 2")
    assert one.repeats(block.replace(old, new)) == 0


def test_part_of_a_head_is_not_enough() -> None:
    block, one = prepared(b"Content-Length: 5", b"B: 2")
    assert not any(one.repeats(block[:size]) for size in range(len(block)))


def test_what_is_no_header_is_not_taken_for_the_length() -> None:
    block, one = prepared(b"X: Content-Length: 5", b"Content-Length: 7")
    assert one.repeats(block.replace(b" 7", b" 8")) == len(block)
    assert one.head.length == 8
