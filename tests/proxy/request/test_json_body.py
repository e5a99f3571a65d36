"""Looking into a JSON body without changing it."""

import json
import tracemalloc

import pytest

from meshproxy_cli.proxy.request.json_body import DocumentError, read_document


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"1",
        b"null",
        b'"model"',
        b"{",
        b'{"model":"a"}x',
        b'{"model":"a"}{"model":"b"}',
        b'\xef\xbb\xbf{"model":"a"}',
        b'{"a":"\r\n"}',
        b'{"a":NaN}',
        b"{'model':'a'}",
        b'{"model":"a",}',
        '{"model":"a"}'.encode("utf-16"),
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(DocumentError):
        read_document(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","model":"b"}',
        b'{"model":"a","mod\\u0065l":"b"}',
        b'{"model":"a","x":1,"model":"a"}',
        b'{"other":1,"other":2}',
    ],
)
def test_a_name_that_stands_twice_is_refused(body: bytes) -> None:
    with pytest.raises(DocumentError, match="twice"):
        read_document(body)


def names(number: int) -> bytes:
    return b"".join(b',"k%d":1' % one for one in range(number))


def test_a_name_that_stands_twice_among_very_many_is_found() -> None:
    assert len(read_document(b'{"model":"a"' + names(9_000) + b"}").members) == 9_001
    body = b'{"model":"a"' + names(9_900) + b',"z":1,"z":2}'
    with pytest.raises(DocumentError, match="names 'z' twice"):
        read_document(body)


@pytest.mark.parametrize("number", [10_001, 300_000])
def test_names_beyond_number_are_refused(number: int) -> None:
    with pytest.raises(DocumentError, match="more than 10000 names"):
        read_document(b'{"model":"a"' + names(number) + b"}")
    assert read_document(b'{"model":"a"}').text("model") == "a"


@pytest.mark.parametrize(
    "entries", [b"{}," * 100_000 + b"{}", b"{}," * 4_000_001 + b"{}", b"1," * 3_000_000 + b"1", b"{},1"]
)
def test_lists_of_very_many_entries_or_of_no_objects_are_refused(entries: bytes) -> None:
    held = read_document(b'{"requests":[%b]}' % entries)
    tracemalloc.start()
    with pytest.raises(DocumentError, match=r"entries|list of objects"):
        held.children("requests")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 40 * 2**20


@pytest.mark.parametrize("name", ["Model", "MODEL", "Previous_Response_Id", "\u017ftream", "STREAM"])
def test_names_in_other_letters_are_refused(name: str) -> None:
    with pytest.raises(DocumentError):
        read_document(json.dumps({"model": "a", name: "b"}).encode())


def test_names_that_nobody_looks_at_may_be_anything() -> None:
    assert read_document(b'{"X":1,"x":2,"":3}').text("model") is None


def test_texts() -> None:
    document = read_document(b'{"model":"gp\\u0074","none":null,"number":1,"bad":"\x7f"}')
    assert document.text("model") == "gpt"
    assert document.text("none") is None
    assert document.text("missing") is None
    with pytest.raises(DocumentError, match="not a string"):
        document.text("number")


def test_a_text_that_is_no_utf8_is_refused_as_such() -> None:
    with pytest.raises(DocumentError):
        read_document(b'{"model":"\xff"}').text("model")


@pytest.mark.parametrize(("value", "true"), [(b"true", True), (b" true ", True), (b"false", False), (b'"true"', False)])
def test_is_true(value: bytes, true: bool) -> None:  # noqa: FBT001 (a parameter of pytest's)
    assert read_document(b'{"stream":' + value + b"}").is_true("stream") is true


def test_children() -> None:
    document = read_document(b'{"requests":[{"params":{"model":"a"}},{}],"session":null,"type":[1]}')
    models = [child.text("model") for entry in document.children("requests") if (child := entry.child("params"))]
    assert models == ["a"]
    assert document.child("session") is None
    assert not document.has("session")
    assert not document.is_object("type")
    with pytest.raises(DocumentError):
        document.children("session_") or document.children("type")
    with pytest.raises(DocumentError):
        document.child("type")


def test_replacing_keeps_every_other_byte() -> None:
    body = b'{"a":  1.50,"model":"alias","z":"\\u00e4 \xc3\xa4","n":12345678901234567890123}'
    replaced = read_document(body).replaced({"model": "real"})
    assert replaced == b'{"a":1.50,"model":"real","z":"\\u00e4 \xc3\xa4","n":12345678901234567890123}'
