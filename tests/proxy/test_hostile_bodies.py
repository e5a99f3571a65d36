"""What a client may make of a body: one budget of names and of expanded bytes for all of it, however nested."""

import gzip
import json
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard

from meshproxy_cli.proxy.http1.chunked import ChunkedReader, MalformedChunkError, chunk
from meshproxy_cli.proxy.http1.head import MalformedHeadError, read_request_head
from meshproxy_cli.proxy.request import json_body as document
from meshproxy_cli.proxy.request.authentication import credentials
from meshproxy_cli.proxy.request.authorization import ON_LOOP, Authorizer, TooMuchForLoopError
from meshproxy_cli.proxy.request.body import BodyError, BodyTooLargeError, expand, form_field
from meshproxy_cli.proxy.request.json_body import MAX_NAMES, DocumentError, NameBudget, NameBudgetError, read_document
from proxy.authorize_helpers import ask, caller, head, refused, room, route

MIB = 2**20
BATCHES = "/anthropic/v1/messages/batches"
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=5),
    "zstd": zstandard.compress,
}


def names(number: int) -> str:
    return ",".join(f'"n{one}":1' for one in range(number))


def batch(entries: int, each: int) -> bytes:
    entry = f'{{"custom_id":"a","params":{{"model":"m",{names(each)}}}}}'
    return ('{"requests":[' + ",".join([entry] * entries) + "]}").encode()


# Expansion


@pytest.mark.parametrize("outer", CODINGS)
@pytest.mark.parametrize("inner", CODINGS)
def test_a_body_that_is_encoded_twice_has_one_budget(inner: str, outer: str) -> None:
    bomb = CODINGS[outer](CODINGS[inner](bytes(30 * MIB)))
    with pytest.raises(BodyTooLargeError, match="100 times"):
        expand(bomb, f"{inner}, {outer}".encode(), 64 * MIB)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_body_expands_a_hundred_times_at_most_beyond_a_mebibyte(coding: str) -> None:
    text = json.dumps({"model": "m", "input": [f"line {one} of a conversation" for one in range(100_000)]}).encode()
    assert expand(CODINGS[coding](text), coding.encode(), 64 * MIB) == text
    assert expand(CODINGS[coding](bytes(MIB)), coding.encode(), 64 * MIB) == bytes(MIB)
    with pytest.raises(BodyTooLargeError, match="100 times"):
        expand(CODINGS[coding](bytes(4 * MIB)), coding.encode(), 64 * MIB)


def test_layers_share_what_is_free() -> None:
    layered = gzip.compress(gzip.compress(bytes(700_000), compresslevel=0), compresslevel=9)
    assert len(layered) * 100 < MIB
    with pytest.raises(BodyTooLargeError):
        expand(layered, b"gzip, gzip", 64 * MIB)


def test_a_list_of_very_many_codings_is_not_taken_apart() -> None:
    with pytest.raises(BodyError, match="too many"):
        expand(b"{}", b"," * 30_000, MIB)


# Names


def test_the_names_of_all_entries_count_together() -> None:
    data = batch(60, 9_990)
    with pytest.raises(NameBudgetError, match="more than 500000 names"):
        [entry.child("params") for entry in read_document(data, NameBudget(500_000)).children("requests")]
    answer = refused(BATCHES, data)
    assert (answer.status, answer.code) == (400, "invalid_body")


@pytest.mark.parametrize("entries", [b"{}," * 20_000, b'{"model":"m"},' * 20_000])
def test_objects_without_names_count_too(entries: bytes) -> None:
    with pytest.raises(NameBudgetError):
        read_document(b'{"tools":[' + entries + b"{}]}").children("tools")


def test_names_are_counted_before_they_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    real = document._Key
    monkeypatch.setattr(document, "_Key", lambda name: made.append(name) or real(name))
    with pytest.raises(NameBudgetError):
        [entry.child("params") for entry in read_document(batch(600, 990)).children("requests")]
    assert len(made) <= MAX_NAMES


def test_a_batch_of_usual_entries_is_taken() -> None:
    entry = {
        "custom_id": "a",
        "params": {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]},
    }
    assert ask(BATCHES, {"requests": [entry] * 20_000}).model == "m"


@pytest.mark.parametrize(
    "value", [b'"' + b"a" * MIB + b'"', b'"' + b"\\u0061" * 1001 + b'"', b"[" + b"1," * MIB + b"1]"]
)
def test_names_of_models_are_short_texts(value: bytes) -> None:
    with pytest.raises(DocumentError, match=r"longer than 1000|not a string"):
        read_document(b'{"model":' + value + b"}").text("model")
    assert read_document(b'{"model":"' + b"a" * 1000 + b'"}').text("model") == "a" * 1000


def test_messages_do_not_repeat_long_names() -> None:
    name = "n" * MIB
    with pytest.raises(DocumentError) as caught:
        read_document(json.dumps({name: 1})[:-1].encode() + b',"' + name.encode() + b'":2}')
    assert len(str(caught.value)) < 200


# What is read on the event loop


@pytest.mark.parametrize(
    ("body", "models", "fields"),
    [
        (b'{"model":"m","input":"%b"}' % (b"x" * 3 * MIB), (), ()),
        (b'{"model":"m","input":"%b"}' % (b"x" * MIB), ("openai/m",), ()),
        (gzip.compress(b'{"model":"m","input":"%b"}' % (b"0123456789" * 400_000)), (), ("Content-Encoding: gzip",)),
        (batch(60, 990), (), ()),
    ],
)
def test_what_takes_long_is_left_to_another_process(
    body: bytes, models: tuple[str, ...], fields: tuple[str, ...]
) -> None:
    hurried = Authorizer(lambda *_: True, 64 * MIB, effort=ON_LOOP)
    path = BATCHES if b"requests" in body else "/openai/v1/responses"
    with pytest.raises(TooMuchForLoopError):
        hurried.authorize(caller(*models), route(path), room(), head(path, "POST", fields), body)
    if not fields:
        assert Authorizer(lambda *_: True, 64 * MIB).authorize(caller(*models), route(path), room(), head(path), body)


# Framing


@pytest.mark.parametrize("framed", [b"1\r\na\r\n", b"1;x\r\na\r\n", b"0001\r\na\r\n"])
def test_very_many_very_small_chunks_are_refused(framed: bytes) -> None:
    pieces: list[bytes] = []
    with pytest.raises(MalformedChunkError, match="too many small chunks"):
        ChunkedReader(bounded=True).feed(framed * 100_000, pieces)
    assert len(pieces) < 10_000


@pytest.mark.parametrize(("size", "number"), [(1, 4_000), (32, 50_000)])
def test_chunks_of_a_usual_size_are_not(size: int, number: int) -> None:
    pieces: list[bytes] = []
    framed = chunk(b"x" * size) * number + b"0\r\nA: b\r\n\r\nnext"
    reader = ChunkedReader(bounded=True)
    assert reader.feed(framed, pieces) == len(framed) - len("next")
    assert reader.done
    assert sum(map(len, pieces)) == size * number
    assert framed[reader.trailers_at :] == b"A: b\r\n\r\nnext"


def test_a_chunk_that_comes_byte_by_byte_is_one_chunk() -> None:
    reader = ChunkedReader(bounded=True)
    for byte in chunk(b"x" * 20_000) + b"0\r\n\r\n":
        reader.feed(bytes([byte]), [])
    assert reader.done


def test_a_head_of_very_many_lines_is_refused() -> None:
    lines = "".join(f"a{one}: b\r\n" for one in range(256))
    with pytest.raises(MalformedHeadError, match="more than 256 lines"):
        read_request_head(f"GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n".encode())


@pytest.mark.parametrize("more", [b"; name=a" * 100_000, b";" * 100, b"\r\na" * 100])
def test_a_part_with_a_long_head_is_refused(more: bytes) -> None:
    body = b"--b\r\nContent-Disposition: form-data" + more + b"\r\n\r\nx\r\n--b--\r\n"
    with pytest.raises(BodyError, match="too long a head"):
        form_field(body, b"multipart/form-data; boundary=b", b"model")


def test_a_query_of_very_many_fields_is_refused() -> None:
    path = "/openai/v1/realtime?" + "a=1&" * 1000 + "model=m"
    assert refused(path, b"", method="GET").status == 400


def test_few_offers_of_a_websocket_are_looked_at() -> None:
    offers = ", ".join(f"openai-insecure-api-key.{one}" for one in range(2000))
    found = credentials(head("/openai/v1/responses", "GET", (f"Sec-WebSocket-Protocol: {offers}",)))
    assert len(found) == 10
