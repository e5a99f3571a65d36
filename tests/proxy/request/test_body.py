"""What is inside a request's body: content codings and forms."""

import gzip
import json
import zlib

import brotli
import pytest
import zstandard

from meshproxy_cli.proxy.request.body import BodyError, BodyTooLargeError, UnknownCodingError, expand, form_field

MIB = 2**20
BODY = json.dumps({"model": "gpt-5.4", "input": [f"line {number}" for number in range(40_000)]}).encode()


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


ENCODE = {
    b"gzip": gzip.compress,
    b"x-gzip": gzip.compress,
    b"deflate": zlib.compress,
    b"br": lambda data: brotli.compress(data, quality=1),
    b"zstd": zstandard.compress,
}


@pytest.mark.parametrize("coding", ENCODE)
@pytest.mark.parametrize("body", [b"", b"{}", BODY], ids=["empty", "small", "large"])
def test_every_coding_is_undone(coding: bytes, body: bytes) -> None:
    assert expand(ENCODE[coding](body), coding, MIB) == body


def test_codings_on_top_of_each_other_and_in_any_case() -> None:
    assert expand(gzip.compress(raw_deflate(b"{}")), b" Deflate , GZIP, identity", MIB) == b"{}"
    assert expand(zstandard.compress(b"a") + zstandard.compress(b"b"), b"zstd", MIB) == b"ab"
    assert expand(b"plain", b"", MIB) == b"plain"
    with pytest.raises(UnknownCodingError):
        expand(b"", b"gzip, gzip, gzip, gzip", MIB)
    with pytest.raises(UnknownCodingError):
        expand(b"", b"compress", MIB)


@pytest.mark.parametrize("coding", ENCODE)
def test_a_bomb_is_stopped(coding: bytes) -> None:
    bomb = ENCODE[coding](bytes(64 * MIB))
    with pytest.raises(BodyTooLargeError):
        expand(bomb, coding, MIB)


@pytest.mark.parametrize("coding", ENCODE)
def test_a_body_of_exactly_the_limit_passes(coding: bytes) -> None:
    assert len(expand(ENCODE[coding](bytes(MIB)), coding, MIB)) == MIB
    with pytest.raises(BodyTooLargeError):
        expand(ENCODE[coding](bytes(MIB + 1)), coding, MIB)


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br", b"zstd"])
def test_damaged_bodies_are_refused_or_empty(coding: bytes) -> None:
    with pytest.raises(BodyError):
        expand(b"this is not compressed at all", coding, MIB)
    try:
        cut = expand(ENCODE[coding](b'{"model":"a"}')[:-5], coding, MIB)
    except BodyError:
        return
    assert cut != b'{"model":"a"}'


@pytest.mark.parametrize("coding", [b"gzip", b"br"])
def test_bytes_after_the_end_are_refused(coding: bytes) -> None:
    with pytest.raises(BodyError):
        expand(ENCODE[coding](b"{}") + b"more", coding, MIB)


TYPE = b"multipart/form-data; boundary=XX"


def form(*parts: tuple[bytes, bytes], boundary: bytes = b"XX") -> bytes:
    written = [b"--" + boundary + b"\r\nContent-Disposition: " + head + b"\r\n\r\n" + value for head, value in parts]
    return b"\r\n".join(written) + b"\r\n--" + boundary + b"--\r\n"


FILE = (b'form-data; name="file"; filename="a.wav"', b"RIFF\r\n\r\n\x00\xff")
MODEL = (b'form-data; name="model"', b"whisper-1")


@pytest.mark.parametrize(
    "kind",
    [
        TYPE,
        b'multipart/form-data; boundary="XX"',
        b"Multipart/Form-Data;charset=utf-8;BOUNDARY=XX",
        b"multipart/form-data ; boundary=XX ;",
    ],
)
def test_a_field_is_found(kind: bytes) -> None:
    assert form_field(form(FILE, MODEL), kind, b"model") == "whisper-1"
    assert form_field(form(MODEL, FILE), kind, b"model") == "whisper-1"
    assert form_field(form(FILE), kind, b"model") is None


def test_names_may_stand_without_quotes_and_beside_other_headers() -> None:
    head = b"form-data; name=model\r\nContent-Type: text/plain"
    assert form_field(form((head, b"a")), TYPE, b"model") == "a"


def test_a_file_is_no_field() -> None:
    assert form_field(form((b'form-data; name="model"; filename="x"', b"gpt")), TYPE, b"model") == ""


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"", form(MODEL)),
        (b"application/json", form(MODEL)),
        (b"multipart/form-data", form(MODEL)),
        (b"multipart/form-data; boundary=", form(MODEL)),
        (b"multipart/form-data; xboundary=XX", form(MODEL)),
        (b"multipart/form-data; boundary=XX; boundary=YY", form(MODEL)),
        (b'multipart/form-data; x="a\\"; boundary=YY; \\""; boundary=XX', form(MODEL)),
        (b"multipart/form-data; boundary*=utf-8''XX", form(MODEL)),
        (TYPE, b"preamble\r\n" + form(MODEL)),
        (TYPE, form(MODEL, MODEL)),
        (TYPE, form(MODEL)[:-8]),
        (TYPE, form(MODEL) + form((b'form-data; name="model"', b"other"))),
        (TYPE, form((b'form-data; name="a"', b"x\n--XX\nContent-Disposition: form-data; name=model\n\nother"))),
        (TYPE, form((b'form-data; name="a"', b"x--XX"))),
        (TYPE, b'--XXtra\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--XX--\r\n'),
        (TYPE, form((b'form-data; name="a"; name="model"', b"x"))),
        (TYPE, form((b"form-data; name=\"a\"; name*=utf-8''model", b"x"))),
        (TYPE, form((b"form-data; name*=utf-8''model", b"x"))),
        (TYPE, form((b'form-data; name="mo\\del"', b"x"))),
        (TYPE, form((b"form-data", b"x"))),
        (TYPE, form((b"form-data;\r\n name=model", b"x"))),
        (TYPE, b"--XX\r\nContent-Type: text/plain\r\n\r\nx\r\n--XX--\r\n"),
        (TYPE, b'--XX\r\nContent-Disposition: form-data; name="model"\r\nno end'),
        (TYPE, b""),
        (TYPE, form(*[(b'form-data; name="a"', b"")] * 10_001)),
    ],
)
def test_forms_of_two_readings_are_refused(kind: bytes, body: bytes) -> None:
    with pytest.raises(BodyError):
        form_field(body, kind, b"model")
