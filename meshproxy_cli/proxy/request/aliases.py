"""A room's model aliases where a body names several models: names are exchanged, every other value stays."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

from meshproxy_cli.proxy.request.json_body import Document, DocumentError, Raw, read_document

Places = Mapping[str, "Places"]  # objects that may name a model, by the member that they are

_BEFORE_VALUE: Final = re.compile(rb'[\s{,]*"(?:[^"\\]|\\.)*"\s*:\s*')
_SESSION: Final[Places] = {"audio": {"input": {"transcription": {}}}, "input_audio_transcription": {}}
_MESSAGE: Final[Places] = {**_SESSION, "response": _SESSION, "session": _SESSION}


def with_real_models(message: bytes, aliases: Mapping[str, str]) -> bytes:
    """Return a client's message with the models that aliases stand for; one that can't be read stays as it is."""
    try:
        return _replaced(message, _MESSAGE, aliases) if aliases else message
    except DocumentError:
        return message  # whoever decides about it refuses it


def with_models(batch: Document, entries: Sequence[Document], models: Sequence[str | None]) -> bytes:
    """Return a message batch whose entries are for these models; None: for none, as it is."""
    return batch.replaced({"requests": list(map(_with_model, entries, models))})


def _with_model(entry: Document, model: str | None) -> Raw:
    params = entry.child("params")
    if params is None or model is None:
        return Raw(entry.replaced({}))
    return Raw(entry.replaced({"params": Raw(params.replaced({"model": model}))}))


def _replaced(body: bytes, places: Places, aliases: Mapping[str, str]) -> bytes:
    document = read_document(body)
    changes: dict[str, bytes] = {}
    real = aliases.get(document.text("model") or "")
    if real is not None:
        changes["model"] = json.dumps(real).encode()
    for name, inner in places.items():
        if document.is_object(name):
            old = bytes(document.members[name])
            new = _replaced(old, inner, aliases)
            if new != old:
                changes[name] = new
    return _spliced(body, document, changes) if changes else body


def _spliced(body: bytes, document: Document, changes: Mapping[str, bytes]) -> bytes:
    """Put other bytes in the place of some values. A value's length is known, so only what is between is looked at."""
    parts: list[bytes] = []
    kept = place = 0
    for name, raw in document.members.items():
        between = _BEFORE_VALUE.match(body, place)
        if between is None:
            raise DocumentError("the body can't be followed")
        place = between.end() + memoryview(raw).nbytes
        if name in changes:
            parts += (body[kept : between.end()], changes[name])
            kept = place
    return b"".join((*parts, body[kept:]))
