"""What belongs to a room stays in it."""

import json

import pytest

from meshproxy_cli.proxy.core.errors import RefusedError, UnknownIdError
from meshproxy_cli.proxy.request.authorization import AuthorizedRequest, Authorizer
from proxy.authorize_helpers import MESSAGES, RESPONSES, ask, caller, event, head, refused, route


def test_calls_that_another_room_may_have_are_not_there() -> None:
    path = "/openai/v1/realtime?model=gpt-realtime&c%61ll_id=rtc_1"
    assert refused(path, b"", method="GET").status == 404


@pytest.mark.parametrize("path", [RESPONSES, "/openai/v1/responses/compact", "/openai/v1/responses/input_tokens"])
def test_what_another_room_made_is_not_there(path: str) -> None:
    body = {"model": "a", "previous_response_id": "resp_mine"}
    assert ask(path, body).model == "a"
    assert refused(path, body, caller(room="other")).status == 404
    assert refused(path, body | {"previous_response_id": "resp_unknown"}).status == 404
    assert refused(path, {"model": "a", "conversation": "conv_1"}).status == 404
    assert ask(path, {"model": "a", "previous_response_id": None, "conversation": None}).model == "a"


def test_an_id_that_nobody_here_has_seen_is_told_apart_from_one_of_another_room() -> None:
    here = Authorizer(lambda *_: False, 2**20, {"resp_other"}.__contains__)
    for ident, kind in (("resp_other", RefusedError), ("resp_unseen", UnknownIdError)):
        body = json.dumps({"model": "a", "previous_response_id": ident}).encode()
        with pytest.raises(RefusedError) as caught:
            here.authorize(caller(), route(RESPONSES), None, head(RESPONSES), body)
        assert (type(caught.value), caught.value.refusal.status) == (kind, 404)
        with pytest.raises(RefusedError) as caught:
            here.event(caller(), None, body)
        assert type(caught.value) is kind


@pytest.mark.parametrize(("store", "stored"), [(None, True), (True, True), (False, False)])
def test_whether_the_provider_keeps_the_answer(store: bool | None, stored: bool) -> None:  # noqa: FBT001 (parameters)
    body = {"type": "response.create", "model": "a"} | ({} if store is None else {"store": store})
    assert ask(RESPONSES, body).stored is stored
    assert event(body, caller()).stored is stored
    assert event({"type": "response.create", "response": body}, caller()).stored is stored


@pytest.mark.parametrize(("method", "ending"), [("GET", ""), ("DELETE", ""), ("GET", "/results"), ("POST", "/cancel")])
def test_batches_of_other_rooms_are_not_there(method: str, ending: str) -> None:
    path = "/anthropic/v1/messages/batches/"
    assert ask(f"{path}msgbatch_mine{ending}", b"", method=method) == AuthorizedRequest()
    assert refused(f"{path}msgbatch_other{ending}", b"", method=method).status == 404
    assert refused(f"{path}msgbatch_mine{ending}", b"", caller(room="other"), method=method).status == 404


def test_a_message_is_remembered_where_a_later_request_may_name_it() -> None:
    assert not ask(MESSAGES, {"model": "a"}).tracked
    assert ask(MESSAGES, {"model": "a", "thread": {"type": "create"}}).tracked
    assert ask(MESSAGES, {"model": "a", "diagnostics": {"previous_message_id": None}}).tracked
    assert ask(MESSAGES, {"model": "a", "thread": {"type": "continue", "previous_message_id": "resp_mine"}}).tracked
