"""Aliases in a websocket's messages."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy_cli.proxy.request.aliases import with_real_models

ALIASES = {"best": "gpt-5.4", "voice": "gpt-realtime", "\u00e4": 'q"\u00fc'}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"model":"best"}', b'{"model":"gpt-5.4"}'),
        (b' {\n"a" : 1.50 , "model"\t: "best", "z":"best"} ', b' {\n"a" : 1.50 , "model"\t: "gpt-5.4", "z":"best"} '),
        (b'{"mod\\u0065l":"b\\u0065st","x":[{"model":"best"}]}', b'{"mod\\u0065l":"gpt-5.4","x":[{"model":"best"}]}'),
        (b'{"response": { "model" :"voice"}}', b'{"response": { "model" :"gpt-realtime"}}'),
        (b'{"\\"}{[,:":{"k":","},"model":"best"}', b'{"\\"}{[,:":{"k":","},"model":"gpt-5.4"}'),
        (
            b'{"model":"best","session":{"model":"voice","audio":{"input":{"transcription":{"model":"best"}}}}}',
            b'{"model":"gpt-5.4","session":{"model":"gpt-realtime","audio":{"input":{"transcription":{"model":"gpt-5.4"}}}}}',
        ),
        (b'{"input_audio_transcription":{"model":"best"}}', b'{"input_audio_transcription":{"model":"gpt-5.4"}}'),
        ('{"model":"\u00e4"}'.encode(), b'{"model":"q\\"\\u00fc"}'),
    ],
)
def test_names_are_exchanged_and_every_other_byte_stays(before: bytes, after: bytes) -> None:
    assert with_real_models(before, ALIASES) == after
    assert with_real_models(before, {}) is before


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"[]",
        b'{"model":"gpt-6"}',
        b'{"model":["best"]}',
        b'{"model":"best","model":"best"}',
        b'{"session":{"model":"best","Model":"best"}}',
        b'{"input":[{"model":"best"}],"tools":{"model":"best"}}',
        b'{"audio":"best","session":null,"response":[]}',
        b"\xff",
    ],
)
def test_what_names_no_alias_or_cannot_be_read_stays(message: bytes) -> None:
    assert with_real_models(message, ALIASES) == message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)
NAMES = st.text(max_size=9).map(lambda text: f"x{text}")


@given(
    before=st.dictionaries(NAMES, JSON, max_size=3),
    after=st.dictionaries(NAMES, JSON, max_size=3),
    indent=st.sampled_from([None, 1]),
    escaped=st.booleans(),
)
def test_whatever_stands_around_the_model_stays(
    before: dict[str, object], after: dict[str, object], indent: int | None, *, escaped: bool
) -> None:
    document = {**before, "model": "best", **{name: value for name, value in after.items() if name not in before}}
    text = json.dumps(document, indent=indent, ensure_ascii=escaped).encode()
    found = with_real_models(text, ALIASES)
    assert json.loads(found) == {**document, "model": "gpt-5.4"}
    assert len(found) == len(text) + len("gpt-5.4") - len("best")
