"""What an answer brought that a later request may refer to."""

import json
from typing import Any

import pytest

from meshproxy_cli.proxy.usage.meter import meter_for
from meshproxy_cli.proxy.usage.reading import AnswerItem, Reading
from meshproxy_cli.proxy.usage.turns import TurnMeter

USAGE = {"input_tokens": 1, "output_tokens": 1}
OUTPUT: list[dict[str, Any]] = [
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None},
    {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gAAA"},
    {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": 'x "id": "msg_2"'}]},
    {"type": "code_interpreter_call", "id": "ci_1", "container_id": "cntr_1"},
    {"type": "function_call", "id": "fc_1", "call_id": "call_1"},
]
ITEMS = {
    AnswerItem("rs_1", whole=False),
    AnswerItem("rs_2", whole=True),
    AnswerItem("msg_1", whole=True),
    AnswerItem("ci_1", whole=False),
    AnswerItem("cntr_1", whole=False),
    AnswerItem("fc_1", whole=True),
}


def metered(body: bytes, kind: bytes = b"application/json", *, protocol: str = "openai") -> Reading:
    endpoint = "/v1/responses" if protocol == "openai" else "/v1/messages"
    meter = meter_for(protocol=protocol, endpoint=endpoint, status=200, content_type=kind, content_encoding=b"")
    meter.feed(body)
    return meter.finish()


def events(*documents: dict[str, Any]) -> bytes:
    return b"".join(b"event: x\ndata: " + json.dumps(document).encode() + b"\n\n" for document in documents)


def answer(**more: Any) -> dict[str, Any]:
    return {"id": "resp_1", "model": "m", "usage": USAGE, "output": OUTPUT, "metadata": {"id": "rs_9"}, **more}


@pytest.mark.parametrize("more", [{}, {"usage": {**USAGE, "seconds": 3}}, {"output": [*OUTPUT, "odd", 7, {"id": 7}]}])
def test_items_of_a_whole_answer(more: dict[str, Any]) -> None:
    reading = metered(json.dumps(answer(**more)).encode())
    assert (reading.answer_id, set(reading.items)) == ("resp_1", ITEMS)


def test_items_of_a_stream() -> None:
    done = {"type": "response.completed", "response": answer()}
    assert set(metered(events(done), b"text/event-stream").items) == ITEMS


def test_items_of_a_stream_that_breaks_off() -> None:
    added = [{"type": "response.output_item.added", "item": item} for item in OUTPUT]
    begun = {"type": "response.created", "response": {"id": "resp_1", "output": []}}
    reading = metered(events(begun, *added), b"text/event-stream")
    assert (reading.answer_id, set(reading.items)) == ("resp_1", ITEMS)


def test_items_of_a_websockets_turn() -> None:
    meter = TurnMeter()
    messages: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"id": "resp_1"}},
        *({"type": "response.output_item.done", "item": item} for item in OUTPUT),
        {"type": "response.completed", "response": {"id": "resp_1", "usage": USAGE}},
    ]
    readings = [meter.feed(json.dumps(message).encode()) for message in messages]
    assert readings[:-1] == [None] * (len(messages) - 1)
    assert readings[-1] is not None
    assert set(readings[-1].items) == ITEMS


def test_an_answer_brings_a_bounded_number_of_items() -> None:
    many = [{"type": "message", "id": f"msg_{number}"} for number in range(3000)]
    assert len(metered(json.dumps(answer(output=many)).encode()).items) == 1000


def test_messages_bring_their_id_and_their_container() -> None:
    usage = {"input_tokens": 1, "output_tokens": 1}
    container = {"id": "container_1", "expires_at": "2026-11-28T00:00:00Z"}
    message = {"id": "msg_1", "type": "message", "model": "m", "content": [], "usage": usage}
    whole = metered(json.dumps({**message, "container": container}).encode(), protocol="anthropic")
    stream = events(
        {"type": "message_start", "message": message},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "container": container}, "usage": usage},
        {"type": "message_stop"},
    )
    for reading in (whole, metered(stream, b"text/event-stream", protocol="anthropic")):
        assert (reading.answer_id, reading.items) == ("msg_1", (AnswerItem("container_1", whole=False),))
    plain = metered(json.dumps(message).encode(), protocol="anthropic")
    assert (plain.answer_id, plain.items) == ("msg_1", ())
