"""What a caller may have."""

import gzip
import json
from typing import Any

import pytest

from meshproxy_cli.proxy.core.errors import RefusedError
from meshproxy_cli.proxy.request.authorization import AuthorizedRequest
from proxy.authorize_helpers import AUTHORIZER, CHAT, FORM, MESSAGES, RESPONSES, ask, caller, event, refused, room


def test_a_model_and_a_stream_are_read_and_the_body_stays() -> None:
    assert ask(RESPONSES, {"model": "gpt-5.4", "stream": True}) == AuthorizedRequest(model="gpt-5.4", stream=True)
    assert ask(MESSAGES, {"model": "claude-sonnet-4-6"}) == AuthorizedRequest(model="claude-sonnet-4-6")


@pytest.mark.parametrize("pattern", ["openai/gpt-5.4", "openai/gpt-5*", "openai/*", "*"])
def test_patterns_that_allow(pattern: str) -> None:
    assert ask(RESPONSES, {"model": "gpt-5.4"}, caller(pattern)).model == "gpt-5.4"


@pytest.mark.parametrize("pattern", ["openai/gpt-5", "anthropic/*", "gpt-5.4", "openai/GPT-5.4", "openai/*.4"])
@pytest.mark.parametrize("path", [RESPONSES, CHAT, "/openai/v1/embeddings", "/openai/v1/responses/compact"])
def test_patterns_that_do_not(path: str, pattern: str) -> None:
    refusal = refused(path, {"model": "gpt-5.4"}, caller(pattern))
    assert (refusal.status, refusal.code) == (403, "model_not_allowed")
    assert pattern in refusal.message


@pytest.mark.parametrize("body", [{}, {"model": None}, {"model": ""}])
def test_a_model_must_be_named_where_only_some_are_allowed(body: dict[str, Any]) -> None:
    assert ask(RESPONSES, body).model == ""
    assert ask(RESPONSES, body, caller("openai/*")).model == ""
    assert refused(RESPONSES, body, caller("openai/gpt-5.4")).code == "model_missing"
    assert refused(RESPONSES, body, caller(), room(models=("openai/gpt-5.4",))).code == "model_missing"


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"gpt-5.4","model":"gpt-6"}',
        b'{"model":"gpt-5.4","mod\\u0065l":"gpt-6"}',
        b'{"model":"gpt-5.4","Model":"gpt-6"}',
        b'{"model":["gpt-5.4"]}',
        b'{"model":"\xff"}',
        b"[]",
        b"",
    ],
)
def test_bodies_of_two_readings_are_refused(body: bytes) -> None:
    assert refused(RESPONSES, body).status == 400


def test_the_rooms_own_patterns_count_too() -> None:
    where = room(models=("openai/gpt-5.4-mini",))
    assert ask(RESPONSES, {"model": "gpt-5.4-mini"}, caller("openai/*"), where).model == "gpt-5.4-mini"
    refusal = refused(RESPONSES, {"model": "gpt-5.4"}, caller("openai/*"), where)
    assert "the room 'r' does not allow" in refusal.message


def test_an_alias_is_replaced_before_it_is_checked() -> None:
    where = room(aliases={"best": "gpt-5.4"})
    found = ask(RESPONSES, b'{"model":"best","input":1.0}', caller("openai/gpt-5.4"), where)
    assert (found.model, found.body) == ("gpt-5.4", b'{"model":"gpt-5.4","input":1.0}')
    assert refused(RESPONSES, {"model": "best"}, caller("openai/best"), where).status == 403


@pytest.mark.parametrize("coding", [b"gzip", b"identity, gzip"])
def test_a_compressed_body_is_looked_into(coding: bytes) -> None:
    fields = (f"Content-Encoding: {coding.decode()}",)
    body = gzip.compress(b'{"model":"gpt-5.4"}')
    assert ask(RESPONSES, body, caller("openai/gpt-5.4"), fields=fields).body is None
    assert refused(RESPONSES, body, caller("openai/other"), fields=fields).status == 403
    assert refused(RESPONSES, b"{}", fields=fields).status == 400
    assert refused(RESPONSES, gzip.compress(bytes(2**21)), fields=fields).status == 413
    assert refused(RESPONSES, b"{}", fields=("Content-Encoding: rot13",)).status == 415


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=X", "application/x-www-form-urlencoded"])
def test_a_form_is_no_json(kind: str) -> None:
    assert refused(RESPONSES, {"model": "a"}, fields=(f"Content-Type: {kind}",)).status == 415


def test_the_model_of_a_form() -> None:
    path, fields = "/openai/v1/audio/transcriptions", ("Content-Type: multipart/form-data; boundary=X",)
    assert ask(path, FORM % b"whisper-1", caller("openai/whisper-1"), fields=fields).model == "whisper-1"
    assert refused(path, FORM % b"gpt-4o-transcribe", caller("openai/whisper-1"), fields=fields).status == 403
    assert refused(path, {"model": "whisper-1"}).status == 400


def test_an_alias_in_a_form() -> None:
    path, fields = "/openai/v1/audio/transcriptions", ("Content-Type: multipart/form-data; boundary=X",)
    only, where = caller("openai/whisper-1"), room(aliases={"ears": "whisper-1"})
    found = ask(path, FORM % b"ears", only, where, fields=fields)
    assert (found.model, found.body) == ("whisper-1", FORM % b"whisper-1")
    assert ask(path, FORM % b"whisper-1", only, where, fields=fields).body is None
    assert refused(path, FORM % b"ears", caller("openai/ears"), where, fields=fields).status == 403


def test_images_are_edited_with_json_or_a_form() -> None:
    path, only = "/openai/v1/images/edits", caller("openai/gpt-image-2")
    form, plain = "Content-Type: multipart/form-data; boundary=X", "Content-Type: Application/JSON ; charset=utf-8"
    assert ask(path, FORM % b"gpt-image-2", only, fields=(form,)).model == "gpt-image-2"
    assert ask(path, {"model": "gpt-image-2", "stream": True}, only, fields=(plain,)).stream
    assert refused(path, FORM % b"other", only, fields=(form,)).status == 403
    assert refused(path, {"model": "other"}, only, fields=(plain,)).status == 403
    assert ask(path, {"model": "best"}, only, room(aliases={"best": "gpt-image-2"}), fields=(plain,)).body is not None


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/jsonp", "multipart/form-data; boundary=application/json"]
)
def test_an_edit_whose_form_is_not_said_is_refused(kind: str) -> None:
    fields = (f"Content-Type: {kind}",) if kind else ()
    for body in (FORM % b"gpt-image-2", b'{"model":"gpt-image-2"}'):
        assert refused("/openai/v1/images/edits", body, fields=fields).status == 400


def test_every_model_of_a_batch() -> None:
    path = "/anthropic/v1/messages/batches"
    good, bad = {"params": {"model": "claude-a"}}, {"params": {"model": "claude-b"}}
    only = caller("anthropic/claude-a")
    assert ask(path, {"requests": [good, good]}, only).model == "claude-a"
    assert refused(path, {"requests": [good, bad]}, only).status == 403
    assert refused(path, {"requests": [good, {}]}, only).status == 400
    assert refused(path, {"requests": {}}, only).status == 400
    assert refused(path, {"requests": [{"params": {"model": "claude-a", "Model": "b"}}]}, only).status == 400


def test_an_alias_in_a_batch() -> None:
    path, only = "/anthropic/v1/messages/batches", caller("anthropic/claude-a", "anthropic/claude-b")
    body = b'{"requests":[{"custom_id":"1","params":{"model":"best","x":1.0}},{"params":{"model":"claude-b"}}]}'
    found = ask(path, body, only, room(aliases={"best": "claude-a"}))
    assert (found.model, found.body) == ("claude-a", body.replace(b"best", b"claude-a"))
    assert ask(path, body.replace(b"best", b"claude-a"), only, room(aliases={"best": "claude-a"})).body is None
    unnamed = b'{"requests":[{"params":{"model":"best"}},{"params":{"x":1}}]}'
    assert ask(path, unnamed, caller(), room(aliases={"best": "claude-a"})).body == unnamed.replace(
        b"best", b"claude-a"
    )


def test_the_model_of_a_path_and_of_a_query() -> None:
    only = caller("openai/gpt-5.4", "openai/gpt-realtime")
    assert ask("/openai/v1/models/gpt-5.4", b"", only, method="GET").model == "gpt-5.4"
    assert refused("/openai/v1/models/gpt-6", b"", only, method="GET").status == 403
    assert refused("/openai/v1/models/%67pt-6", b"", only, method="GET").status == 403
    assert ask("/openai/v1/realtime?model=gpt-realtime", b"", only, method="GET").model == "gpt-realtime"
    assert refused("/openai/v1/realtime?model=other", b"", only, method="GET").status == 403
    assert refused("/openai/v1/realtime?model=gpt-realtime&model=other", b"", only, method="GET").status == 400
    assert refused("/openai/v1/realtime?mod%65l=other", b"", only, method="GET").status == 403
    assert refused("/openai/v1/realtime", b"", only, method="GET").status == 400


def test_an_alias_in_a_query_and_in_a_realtime_session() -> None:
    where = room(aliases={"voice": "gpt-realtime", "odd": "a&b c"})
    path, only = "/openai/v1/realtime", caller("openai/gpt-realtime")
    found = ask(f"{path}?x=%20&mod%65l=voice&y", b"", only, where, method="GET")
    assert (found.model, found.target) == ("gpt-realtime", b"/rooms/r/openai/v1/realtime?x=%20&model=gpt-realtime&y")
    assert ask(f"{path}?model=gpt-realtime", b"", only, where, method="GET").target is None
    odd = ask(f"{path}?model=odd", b"", caller(), where, method="GET")
    assert odd.target == b"/rooms/r/openai/v1/realtime?model=a%26b%20c"
    assert refused(f"{path}?model=voice", b"", caller("openai/voice"), where, method="GET").status == 403
    made = ask(f"{path}/client_secrets", b'{"session": {"model":"voice"}}', only, where)
    assert (made.model, made.body) == ("gpt-realtime", b'{"session": {"model":"gpt-realtime"}}')
    assert ask(f"{path}/client_secrets", b'{"session": {"model":"gpt-realtime"}}', only, where).body is None


@pytest.mark.parametrize(
    "body",
    [
        {"session": {"model": "bad"}},
        {"model": "good", "session": {"model": "bad"}},
        {"model": "bad", "session": {"model": "good"}},
        {"session": {"model": "good", "audio": {"input": {"transcription": {"model": "bad"}}}}},
        {"model": "good", "input_audio_transcription": {"model": "bad"}},
    ],
)
def test_realtime_sessions_name_models_in_several_places(body: dict[str, Any]) -> None:
    path, only = "/openai/v1/realtime/client_secrets", caller("openai/good")
    assert refused(path, body, only).status == 403
    text = json.dumps(body).replace("bad", "good")
    assert ask(path, text.encode(), only).model == "good"
    assert refused(path, {"session": {}}, only).status == 400


@pytest.mark.parametrize(
    "helper",
    [
        b'"tools":[{"type":"function"},{"type":"image_generation","model":"%b"}]',
        b'"tools":[{"type":"advisor_20260301","name":"advisor","mod\\u0065l":"%b"}]',
        b'"fallbacks" : [ {"model":"good"}, {"model":"%b"} ]',
    ],
)
def test_tools_and_fallbacks_use_no_other_models(helper: bytes) -> None:
    def body(model: bytes) -> bytes:
        return b'{"model":"good",' + helper % model + b"}"

    batch = b'{"requests":[{"custom_id":"1","params":%b}]}'
    who = caller("openai/good", "anthropic/good")
    for path in (RESPONSES, MESSAGES):
        assert ask(path, body(b"good"), who).model == "good"
        assert ask(path, body(b"bad")).model == "good"  # where every model is allowed
        assert refused(path, body(b"bad"), who).code == "model_not_allowed"
        assert refused(path, body(b"bad"), caller(), room(models=who.models)).code == "model_not_allowed"
    path = "/anthropic/v1/messages/batches"
    assert ask(path, batch % body(b"good"), who).model == "good"
    assert refused(path, batch % body(b"bad"), who).code == "model_not_allowed"
    create = b'{"type":"response.create",'
    assert event(create + body(b"good")[1:], who).creates
    with pytest.raises(RefusedError):
        event(create + body(b"bad")[1:], who)
    with pytest.raises(RefusedError):
        event(create + b'"model":"good","response":' + body(b"bad") + b"}", who)


@pytest.mark.parametrize(
    "tools",
    [
        [{"type": "function", "name": "agent", "parameters": {"properties": {"model": {"enum": ["small", "large"]}}}}],
        [{"type": "custom", "name": "a", "model": None}],
        None,
    ],
)
def test_a_tools_own_parameters_are_no_models(tools: Any) -> None:
    assert ask(RESPONSES, {"model": "good", "tools": tools, "fallbacks": None}, caller("openai/good")).model


def test_a_tool_that_names_its_model_twice_is_refused() -> None:
    body = b'{"model":"good","tools":[{"model":"good","mod\\u0065l":"bad"}]}'
    assert refused(RESPONSES, body, caller("openai/good")).status == 400


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (b"", b',"stream_options":{"include_usage":true}'),
        (b',"stream_options":null', b',"stream_options":{"include_usage":true}'),
        (b',"stream_options":{"include_usage":false}', b',"stream_options":{"include_usage":true}'),
        (b',"stream_options":{"x":1.0}', b',"stream_options":{"x":1.0,"include_usage":true}'),
    ],
)
def test_usage_of_a_chat_stream_is_asked_for(options: bytes, sent: bytes) -> None:
    start = b'{"model":"a","stream":true'
    found = ask(CHAT, start + options + b"}")
    assert found.hides_usage
    assert found.body == start + sent + b"}"


@pytest.mark.parametrize(
    "body",
    [b'{"model":"a","stream":true,"stream_options":{"include_usage":true}}', b'{"model":"a","stream":false}', b"{}"],
)
def test_nothing_is_changed_where_usage_comes_anyway(body: bytes) -> None:
    found = ask(CHAT, body)
    assert (found.body, found.hides_usage) == (None, False)


def test_events_of_a_websocket() -> None:
    only = caller("openai/good")
    found = event({"type": "response.create", "model": "good", "previous_response_id": "resp_mine"}, only)
    assert (found.model, found.creates) == ("good", True)
    assert not event({"type": "session.update", "session": {"audio": {"output": {}}}}, only).creates
    assert event({"type": "response.create", "response": {"instructions": "x"}}, only, named="good").creates
    assert event({"type": "response.create", "response": {"conversation": "none"}}, only, named="good").creates
    assert not event({"type": "input_audio_buffer.append", "audio": "AAAA"}, only).creates


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({"type": "response.create", "model": "bad"}, 403),
        ({"type": "response.create", "response": {"model": "bad"}}, 403),
        ({"type": "response.create", "prompt": {"id": "pmpt_1"}}, 400),
        ({"type": "session.update", "session": {"model": "bad"}}, 403),
        ({"type": "session.update", "session": {"audio": {"input": {"transcription": {"model": "bad"}}}}}, 403),
        ({"type": "session.update", "session": {"input_audio_transcription": {"model": "bad"}}}, 403),
        ({"type": "response.create", "model": "good", "previous_response_id": "resp_other"}, 404),
        ({"type": "response.create", "model": "good", "conversation": "conv_1"}, 404),
        ({"type": "response.create", "response": {"model": "good", "conversation": "conv_1"}}, 404),
        ({"type": "response.create", "response": {"model": "good", "conversation": {"id": "conv_1"}}}, 400),
        (b'{"type":"response.create","model":"good","model":"bad"}', 400),
        (b"\x00\x01", 400),
        (b"[]", 400),
    ],
)
def test_events_that_are_refused(document: object, status: int) -> None:
    with pytest.raises(RefusedError) as caught:
        event(document, caller("openai/good"))
    assert caught.value.refusal.status == status


def test_lists_show_what_is_allowed() -> None:
    who, where = caller("openai/gpt*"), room(models=("openai/gpt-5.4",))
    assert AUTHORIZER.visible(who, where, "openai", "gpt-5.4")
    assert AUTHORIZER.visible(who, None, "openai", "gpt-6")
    assert not AUTHORIZER.visible(who, where, "openai", "gpt-6")
    assert not AUTHORIZER.visible(who, None, "openai", "o9")


@pytest.mark.parametrize("stream", [1, "true", 0, [], 1.0])
def test_a_stream_that_is_not_a_boolean_is_refused(stream: object) -> None:
    refusal = refused(CHAT, {"model": "gpt-5.4", "stream": stream}, caller("*"))
    assert (refusal.status, refusal.code) == (400, "invalid_body")
