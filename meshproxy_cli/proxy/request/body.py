"""Read what is inside a request's body: content codings undone with a bound, and the fields of multipart forms."""

import re
import zlib

import brotli
import zstandard

_MAX_LAYERS = 3
_MOST_PARTS = 10_000
_STEP = 64 * 1024
_PARAMETER = rb'[ \t]*;[ \t]*[0-9A-Za-z_-]+=(?:"[^"\\\r\n]*"|[^\s";,]+)'
_FORM = re.compile(rb"multipart/form-data((?:" + _PARAMETER + rb")+)[ \t]*;?[ \t]*", re.IGNORECASE)
_BOUNDARY = re.compile(rb';[ \t]*boundary=(?:"([^"]{1,70})"|([^\s";,]{1,70}))', re.IGNORECASE)
_NAME = re.compile(rb';\s*name\*?=(?:"([^"\\\r\n]*)"|([^\s"\\;]+))', re.IGNORECASE)
_NAME_EXTENDED = re.compile(rb";\s*name\*", re.IGNORECASE)
_FILENAME = re.compile(rb";\s*filename\*?=", re.IGNORECASE)
_GZIP_WINDOW = 31


class BodyError(ValueError):
    """A body that can't be looked into; the text says why."""


class BodyTooLargeError(BodyError):
    """A body that expands beyond the limit."""


class UnknownCodingError(BodyError):
    """A content coding that is not known here."""


def expand(body: bytes, codings: bytes, limit: int) -> bytes:
    """Return `body` with its `Content-Encoding` undone, at most `limit` bytes. Raises `BodyError`."""
    layers = [coding.strip().lower() for coding in codings.split(b",") if coding.strip()]
    if len(layers) > _MAX_LAYERS:
        raise UnknownCodingError("the body is encoded more than three times")
    for layer in reversed(layers):
        if layer == b"identity":
            continue
        decode = _DECODERS.get(layer)
        if decode is None:
            name = layer.decode("latin-1")
            raise UnknownCodingError(f"the Content-Encoding '{name}' is not known; gzip, deflate, br and zstd are")
        try:
            body = decode(body, limit)
        except (zlib.error, brotli.error, zstandard.ZstdError):
            raise BodyError(f"the body is not valid {layer.decode()}") from None
    return body


def _inflate(body: bytes, limit: int, window: int) -> bytes:
    decoder = zlib.decompressobj(window)
    data = decoder.decompress(body, limit + 1)
    _check(len(data), limit)
    if not decoder.eof:
        raise BodyError("the compressed body is cut short")
    if decoder.unused_data:
        raise BodyError("the compressed body has bytes after its end")
    return data


def _gzip(body: bytes, limit: int) -> bytes:
    return _inflate(body, limit, _GZIP_WINDOW)


def _deflate(body: bytes, limit: int) -> bytes:
    try:
        return _inflate(body, limit, zlib.MAX_WBITS)
    except zlib.error:
        return _inflate(body, limit, -zlib.MAX_WBITS)  # as many senders mean it


def _brotli(body: bytes, limit: int) -> bytes:
    decoder = brotli.Decompressor()
    parts = [decoder.process(body, output_buffer_limit=_STEP)]
    size = len(parts[0])
    while not decoder.is_finished():
        part = decoder.process(b"", output_buffer_limit=_STEP)
        if not part and not decoder.is_finished():
            raise BodyError("the compressed body is cut short")
        parts.append(part)
        size += len(part)
        _check(size, limit)
    return b"".join(parts)


def _zstd(body: bytes, limit: int) -> bytes:
    reader = zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(body, read_across_frames=True)
    data = reader.read(limit + 1)
    _check(len(data), limit)
    return data


def _check(size: int, limit: int) -> None:
    if size > limit:
        raise BodyTooLargeError(f"the body expands to more than {limit // 2**20} MiB")


_DECODERS = {b"gzip": _gzip, b"x-gzip": _gzip, b"deflate": _deflate, b"br": _brotli, b"zstd": _zstd}


def form_field(body: bytes, content_type: bytes, name: bytes) -> str | None:
    """Return the one field of that name in a multipart form, None without it.

    Raises `BodyError` where the body is no form, or has the field twice or as a file.
    """
    delimiter = _delimiter(content_type)
    if not body.startswith(delimiter):
        raise BodyError("the form does not begin with its boundary")
    values = [value for key, value in _parts(body, delimiter) if key == name]
    if len(values) > 1:
        raise BodyError(f"the form has '{name.decode()}' twice")
    return values[0].decode("utf-8", "replace") if values else None


def with_form_field(body: bytes, content_type: bytes, name: bytes, value: str) -> bytes:
    """Return the form with another value for a field that `form_field` has found; every other byte stays."""
    delimiter = b"\r\n" + _delimiter(content_type)
    parts = (b"\r\n" + body).split(delimiter)
    for place, part in enumerate(parts):
        head, separator, _ = part.partition(b"\r\n\r\n")
        if name in (quoted or plain for quoted, plain in _NAME.findall(head)):
            parts[place] = head + separator + value.encode()
    whole = delimiter.join(parts)
    return whole[2:]


def _delimiter(content_type: bytes) -> bytes:
    form = _FORM.fullmatch(content_type)
    boundaries = [] if form is None else _BOUNDARY.findall(form[1])
    if len(boundaries) != 1:
        raise BodyError("the Content-Type is not multipart/form-data with one boundary")
    quoted, plain = boundaries[0]
    return b"--" + bytes(quoted or plain)


def _parts(body: bytes, delimiter: bytes) -> list[tuple[bytes, bytes]]:
    """Return names and values of the fields; files have an empty value, so that a model can't hide in one."""
    parts: list[tuple[bytes, bytes]] = []
    number = body.count(delimiter)
    if number > _MOST_PARTS:
        raise BodyError(f"the form has more than {_MOST_PARTS} parts")
    cut = (b"\r\n" + body).split(b"\r\n" + delimiter)[1:]
    if number != len(cut):
        raise BodyError("the form's boundary stands in the middle of a line")  # where others may see a part
    for part in cut:
        if part.startswith(b"--"):
            if part is not cut[-1]:
                raise BodyError("the form goes on after its end")
            return parts
        head, separator, value = part.lstrip(b" \t").partition(b"\r\n\r\n")
        if not head.startswith(b"\r\n"):
            raise BodyError("a line of the form begins with its boundary and goes on")
        disposition = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-disposition:")]
        if not separator or len(disposition) != 1:
            raise BodyError("a part of the form is malformed")
        keys = _NAME.findall(disposition[0])
        if len(keys) != 1 or _NAME_EXTENDED.search(disposition[0]):
            raise BodyError("a part of the form has no single name")
        parts.append((keys[0][0] or keys[0][1], b"" if _FILENAME.search(disposition[0]) else value))
    raise BodyError("the form has no end")
