"""What a whole request is looked through for."""

import json
from pathlib import Path
from typing import Any

import pytest

from meshproxy_cli.proxy.core.errors import RefusedError, UnknownIdError
from meshproxy_cli.proxy.request.json_body import DocumentError
from meshproxy_cli.proxy.request.survey import refers_to_nothing, survey_body
from proxy.authorize_helpers import CHAT, FORM, MESSAGES, RESPONSES, ask, caller, event, refused, room

RECORDED = sorted((Path(__file__).parents[2] / "data" / "requests").glob("*.json"))
FUNCTION = {"type": "function", "name": "a", "parameters": {"properties": {"model": {"type": "string"}}}}
ADVISOR = {"type": "advisor_20260301", "name": "advisor", "model": "bad"}
IMAGE = {"type": "image_generation"}
BATCHES = "/anthropic/v1/messages/batches"
FIELDS = ("Content-Type: multipart/form-data; boundary=X",)
ONLY = caller("openai/good", "anthropic/good")


def in_tools(tool: Any) -> list[dict[str, Any]]:
    """Return bodies of the Responses API with a tool in every place where one may be."""
    return [
        {"tools": [tool]},
        {"tools": [{"type": "namespace", "name": "n", "tools": [FUNCTION, tool]}]},
        {"input": [{"type": "additional_tools", "role": "developer", "tools": [tool]}]},
        {"input": [{"type": "additional_tools", "tools": [{"type": "namespace", "name": "n", "tools": [tool]}]}]},
        {"input": [{"type": "tool_search_output", "call_id": "c", "tools": [tool]}]},
        {"response": {"tools": [tool]}},
    ]


def message(block: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, block]}]}


def with_model(more: dict[str, Any]) -> dict[str, Any]:
    return {"model": "good", **more}


@pytest.mark.parametrize(
    "more",
    [
        *in_tools({"type": "image_generation", "model": "bad"}),
        *in_tools({"type": "image_generation", "Model": "bad"}),
        *in_tools({"type": "image_generation", "model": "good", "svg": {"model": "bad"}}),
        *in_tools({"type": "mcp", "server_label": "x", "model": {"id": "bad"}}),
        {"moderation": {"model": "bad"}},
        {"models": ["good", "bad"]},
        {"input": [{"type": "additional_tools", "Tools": [{"type": "image_generation", "MODEL": "bad"}]}]},
        {"fallbacks": ["bad"]},
        {"fallbacks": [{"model": "good"}, {"model": "bad"}]},
        {"fallback_model": "bad"},
        {"context_management": [{"type": "compaction", "summary_model": "bad"}]},
        {"text": {"format": {"judge-Model": "bad"}}},
    ],
)
def test_every_value_that_names_a_model_is_checked(more: dict[str, Any]) -> None:
    body = with_model(more)
    assert refused(RESPONSES, body, ONLY).code == "model_not_allowed"
    assert refused(RESPONSES, body, caller(), room(models=ONLY.models)).code == "model_not_allowed"
    assert ask(RESPONSES, json.dumps(body).replace("bad", "good").encode(), ONLY).model == "good"
    assert ask(RESPONSES, body).model == "good", "who may use every model is not looked through"
    with pytest.raises(RefusedError) as caught:
        event({"type": "response.create", **body}, ONLY)
    assert caught.value.refusal.code == "model_not_allowed"


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [ADVISOR]},
        message({"type": "tool_addition", "tool": {"type": "tool_definition", "definition": ADVISOR}}),
        message({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_addition", "tool": ADVISOR}]}),
        {"fallbacks": [{"model": "bad"}]},
        {"fallbacks": ["bad"]},
    ],
)
def test_anthropics_ways_to_name_a_model(more: dict[str, Any]) -> None:
    body = with_model(more)
    assert refused(MESSAGES, body, ONLY).code == "model_not_allowed"
    assert refused(BATCHES, {"requests": [{"custom_id": "1", "params": body}]}, ONLY).code == "model_not_allowed"
    assert ask(MESSAGES, json.dumps(body).replace("bad", "good").encode(), ONLY).model == "good"
    assert ask(MESSAGES, body).model == "good"


@pytest.mark.parametrize(
    ("more", "named"),
    [
        *((more, "image_generation") for more in in_tools(IMAGE)),
        *((more, "agent_swarm") for more in in_tools({"type": "agent_swarm", "name": "x"})),
        *((more, "openrouter:fusion") for more in in_tools({"type": "openrouter:fusion", "parameters": {}})),
        *((more, "some_call") for more in in_tools({"type": "some_call"})),
        *((more, "google_search") for more in in_tools({"google_search": {}})),
        *((more, "judge") for more in in_tools("judge")),
        ({"tools": "judge"}, "judge"),
        ({"input": [{"type": "agent_run", "prompt": "x"}]}, "agent_run"),
        ({"fallbacks": "default"}, "fallbacks"),
        ({"fallbacks": [{"effort": "low"}]}, "fallbacks"),
        ({"moderation": {"policy": {}}}, "moderation"),
        ({"route": "fallback"}, "route"),
        ({"plugins": [{"id": "fusion"}]}, "plugins"),
        ({"preset": "best"}, "preset"),
        ({"provider": {"order": ["x"]}}, "provider"),
        ({"auto_router": True}, "auto_router"),
        ({"extra_body": {"x": 1}}, "extra_body"),
        ({"parameters": {"size": "x"}}, "parameters"),
        ({"headers": {"x-model": "bad"}}, "headers"),
        ({"multi_agent": {"enabled": True}}, "multi_agent"),
        ({"context_window_fallbacks": [{"good": ["bad"]}]}, "context_window_fallbacks"),
    ],
)
def test_what_may_run_a_model_without_naming_it_is_refused_by_name(more: dict[str, Any], named: str) -> None:
    refusal = refused(RESPONSES, with_model(more), ONLY)
    assert (refusal.status, refusal.code) == (403, "tool_not_allowed")
    assert f"'{named}'" in refusal.message
    assert f"meshproxy room set r --tool {named}" in refusal.message
    assert ask(RESPONSES, with_model(more), ONLY, room(tools=(named,))).model == "good"
    assert refused(RESPONSES, with_model(more), ONLY, room(tools=("another",))).status == 403
    assert ask(RESPONSES, with_model(more)).model == "good"
    with pytest.raises(RefusedError) as caught:
        event({"type": "response.create", **with_model(more)}, ONLY)
    assert caught.value.refusal.code == "tool_not_allowed"


def test_a_tool_that_a_room_allows_still_uses_allowed_models_only() -> None:
    body = with_model({"tools": [{"type": "image_generation", "model": "bad"}]})
    assert refused(RESPONSES, body, ONLY, room(tools=("image_generation",))).code == "model_not_allowed"


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_agents_pass(path: Path) -> None:
    body = json.loads(path.read_bytes())
    protocol = "anthropic" if "messages" in body else "openai"
    where = MESSAGES if protocol == "anthropic" else RESPONSES
    assert ask(where, body, caller(f"{protocol}/{body['model']}")).model == body["model"]
    assert refers_to_nothing(json.dumps(body).encode(), responses=protocol == "openai")


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [FUNCTION, {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark"}}]},
        {"tools": [{"type": kind} for kind in ("local_shell", "apply_patch", "web_search", "web_search_2025_08_26")]},
        {"tools": [{"type": "web_search_preview_2025_03_11"}, {"type": "tool_search", "parameters": {"model": 1}}]},
        {"tools": [{"type": "mcp", "server_label": "x", "server_url": "u", "headers": {"model": "bad"}}]},
        {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}, {"type": "computer_use_preview"}]},
        {"tools": [{"type": "image_generation", "model": "good"}], "tool_choice": IMAGE},
        {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "image_generation"}]}},
        {"input": [{"type": "function_call", "call_id": "c", "name": "a", "arguments": '{"model":"bad"}'}]},
        {"input": [{"type": "function_call_output", "call_id": "c", "output": '{"model":"bad"}'}]},
        {"input": [{"type": "tool_search_call", "arguments": {"model": "bad"}}]},
        {"input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": '"model":"bad"'}]}]},
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"properties": {"model": {}}}}}},
        {"metadata": {"model": "bad"}, "client_metadata": {"model": "bad"}, "temperature": 1, "top_k_new": 4},
        {"moderation": {"model": "good"}, "prediction": {"type": "content", "content": "x"}},
    ],
)
def test_what_names_no_model_passes(more: dict[str, Any]) -> None:
    assert ask(RESPONSES, with_model(more), ONLY).model == "good"


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{"name": "a", "input_schema": {"properties": {"model": {"enum": ["bad"]}}}}]},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}, {"type": "bash_20250124", "name": "bash"}]},
        {"tools": [{"type": "code_execution_20991231", "name": "code_execution"}, {"type": "mcp_toolset"}]},
        message({"type": "tool_use", "id": "t", "name": "Agent", "input": {"model": "bad", "tools": ["x"]}}),
        message({"type": "tool_reference", "tool_name": "x"}),
        {"output_config": {"format": {"type": "json_schema", "schema": {"properties": {"model": {}}}}}},
        {"thinking": {"type": "adaptive"}, "context_management": {"edits": [{"type": "clear_thinking_20251015"}]}},
    ],
)
def test_what_names_no_model_passes_at_anthropic(more: dict[str, Any]) -> None:
    assert ask(MESSAGES, with_model(more), ONLY).model == "good"


def test_chat_completions_are_looked_through_too() -> None:
    tools = [{"type": "function", "function": {"name": "a", "parameters": {"properties": {"model": {}}}}}]
    calls = [{"id": "c", "type": "function", "function": {"name": "a", "arguments": '{"model":"bad"}'}}]
    body = with_model({"tools": tools, "messages": [{"role": "assistant", "tool_calls": calls}], "stream": True})
    assert ask(CHAT, body, ONLY).model == "good"
    assert refused(CHAT, body | {"models": ["bad"]}, ONLY).code == "model_not_allowed"
    assert refused(CHAT, body | {"plugins": []}, ONLY).code == "tool_not_allowed"


@pytest.mark.parametrize("name", ["models", "Model", "model[]", "fallback_model", "judge[model]"])
def test_a_forms_fields_are_looked_through(name: str) -> None:
    path = "/openai/v1/audio/transcriptions"
    part = f'--X\r\nContent-Disposition: form-data; name="{name}"\r\n\r\nbad\r\n'.encode()
    assert refused(path, part + FORM % b"good", ONLY, fields=FIELDS).code == "model_not_allowed"
    assert ask(path, part + FORM % b"good", fields=FIELDS).model == "good"


def test_a_forms_unknown_option_is_refused() -> None:
    path = "/openai/v1/audio/transcriptions"

    def form(name: bytes) -> bytes:
        return b'--X\r\nContent-Disposition: form-data; name="%b"\r\n\r\nx\r\n' % name + FORM % b"good"

    assert refused(path, form(b"preset"), ONLY, fields=FIELDS).code == "tool_not_allowed"
    assert ask(path, form(b"timestamp_granularities[]"), ONLY, fields=FIELDS).model == "good"
    assert refused("/openai/v1/images/edits", form(b"image[file_id]"), fields=FIELDS).status == 404


@pytest.mark.parametrize("query", ["model=good", "m%6Fdel=good", "Model=bad", "models=a", "fallbacks=a", "preset=x"])
@pytest.mark.parametrize("path", [RESPONSES, CHAT, MESSAGES])
def test_a_query_names_no_model(path: str, query: str) -> None:
    assert refused(f"{path}?{query}", with_model({})).status == 400
    assert refused(f"{path}?beta=true&{query}", with_model({}), ONLY).status == 400
    assert ask(f"{path}?beta=true", with_model({}), ONLY).model == "good"


def test_a_query_of_realtime_names_one_model() -> None:
    path = "/openai/v1/realtime?model=good"
    assert ask(path, b"", ONLY, method="GET").model == "good"
    for more in ("&Model=bad", "&fallback_model=bad", "&prompt=pmpt_1"):
        assert refused(path + more, b"", ONLY, method="GET").status == 400


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"good","tools":[{"type":"image_generation","\\u006dodel":"bad","model":"good"}]}',
        b'{"model":"good","tools":[{"type":"image_generation","model":"good","Model":"bad"}]}',
        b'{"model":"good","tools":[{"type":"function","type":"image_generation","model":"good","name":"x"}]}',
        b'{"model":"good","moderation":{"model":7}}',
        b'{"model":"good","tools":[{"type":["image_generation"],"name":"x"}]}',
    ],
)
def test_objects_of_two_readings_are_refused(body: bytes) -> None:
    assert refused(RESPONSES, body, ONLY).status == 400


def test_an_escaped_name_is_a_name() -> None:
    body = b'{"model":"good","tools":[{"type":"image_generation","\\u006dodel":"bad"}]}'
    assert refused(RESPONSES, body, ONLY).code == "model_not_allowed"


def test_a_session_that_transcribes_without_a_model_is_refused() -> None:
    path = "/openai/v1/realtime/client_secrets"
    session: dict[str, Any] = {"model": "good", "audio": {"input": {"transcription": {"language": "en"}}}}
    assert refused(path, {"session": session}, ONLY).code == "tool_not_allowed"
    session["audio"]["input"]["transcription"]["model"] = "good"
    assert ask(path, {"session": session}, ONLY).model == "good"
    assert refused(path, {"session": session | {"tools": [{"type": "agent_swarm"}]}}, ONLY).code == "tool_not_allowed"


# What belongs to other rooms

FOREIGN: list[dict[str, Any]] = [
    {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]},
    {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]}]},
    {"input": [{"type": "function_call_output", "call_id": "c", "output": [{"type": "input_file", "file_id": "f"}]}]},
    {"prompt": {"id": "pmpt_1", "variables": {}}},
    *in_tools({"type": "file_search", "vector_store_ids": ["vs_1"]}),
    *in_tools({"type": "code_interpreter", "container": "cntr_1"}),
    *in_tools({"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["file-1"]}}),
    *in_tools({"type": "shell", "environment": {"type": "container_reference", "container_id": "cntr_1"}}),
    *in_tools({"type": "shell", "environment": {"type": "container_auto", "skills": [{"skill_id": "skill_1"}]}}),
    *in_tools({"type": "image_generation", "model": "good", "input_image_mask": {"file_id": "file-1"}}),
    *in_tools({"type": "mcp", "server_label": "x", "tunnel_id": "tunnel_1"}),
    {"tool_resources": {"file_search": {"vector_store_ids": ["vs_1"]}}},
]
ITEMS = [
    {"type": "item_reference", "id": "msg_1"},
    {"id": "rs_1"},
    {"id": "rs_1", "status": "completed"},
    {"type": None, "id": "rs_1"},
    {"type": "reasoning", "id": "rs_1", "summary": []},
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None},
    {"type": "image_generation_call", "id": "ig_1"},
    {"type": "web_search_call", "id": "ws_1", "action": {"type": "search", "query": "x"}},
    {"type": "code_interpreter_call", "id": "ci_1", "container_id": "cntr_1", "code": ""},
    {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True},
]


@pytest.mark.parametrize("more", [*FOREIGN, *({"input": [item]} for item in ITEMS)])
def test_what_other_rooms_have_is_not_there(more: dict[str, Any]) -> None:
    for who in (caller(), ONLY):
        assert refused(RESPONSES, with_model(more), who).status == 404
        for created in (with_model(more), with_model({"response": with_model(more)})):
            with pytest.raises(RefusedError) as caught:
                event({"type": "response.create", **created}, who)
            assert caught.value.refusal.status == 404


@pytest.mark.parametrize(
    "more",
    [
        {"container": "container_1"},
        {"container": {"id": "container_1"}},
        {"container": {"skills": [{"type": "custom", "skill_id": "skill_1"}]}},
        {"user_profile_id": "profile_1"},
        {"workspace_id": "wrkspc_1"},
        {"thread": {"type": "continue", "previous_message_id": "msg_1"}},
        {"diagnostics": {"previous_message_id": "msg_1"}},
        {"system": [{"type": "document", "source": {"type": "file", "file_id": "file_1"}}]},
        message({"type": "document", "source": {"type": "file", "file_id": "file_1"}}),
        message({"type": "image", "source": {"type": "file", "file_id": "file_1"}}),
        message({"type": "container_upload", "file_id": "file_1"}),
        message({"type": "tool_result", "content": [{"type": "document", "source": {"file_id": "file_1"}}]}),
    ],
)
def test_what_other_rooms_have_is_not_there_at_anthropic(more: dict[str, Any]) -> None:
    for who in (caller(), ONLY):
        assert refused(MESSAGES, with_model(more), who).status == 404
        assert refused(BATCHES, {"requests": [{"custom_id": "1", "params": with_model(more)}]}, who).status == 404


def test_files_and_audio_of_other_rooms_in_chat_and_images() -> None:
    audio = {"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]}
    assert refused(CHAT, with_model(message({"type": "file", "file": {"file_id": "file-1"}}))).status == 404
    assert refused(CHAT, with_model(audio)).status == 404
    plain = ("Content-Type: application/json",)
    for more in ({"images": [{"file_id": "file-1"}]}, {"mask": {"file_id": "file-1"}}):
        assert refused("/openai/v1/images/edits", with_model(more), fields=plain).status == 404
    assert refused("/openai/v1/audio/speech", with_model({"voice": {"id": "voice_1"}})).status == 404


def test_what_an_answer_to_this_room_brought_is_there() -> None:
    for item in ITEMS:
        text = json.dumps(with_model({"input": [item]}))
        for ident in ("msg_1", "rs_1", "ig_1", "ws_1", "ci_1", "cntr_1", "mcpr_1"):
            text = text.replace(f'"{ident}"', '"resp_mine"')
        assert ask(RESPONSES, text.encode()).model == "good"
        assert ask(RESPONSES, text.encode(), ONLY).model == "good"
        assert refused(RESPONSES, text.encode(), caller(room="other")).status == 404
    assert ask(MESSAGES, with_model({"container": "resp_mine"}), ONLY).model == "good"


@pytest.mark.parametrize(
    "more",
    [
        {"input": [{"type": "message", "role": "user", "id": "msg_made_by_the_client", "content": "hi"}]},
        {"input": [{"role": "assistant", "id": "msg_1", "content": [{"type": "output_text", "text": "x"}]}]},
        {"input": [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}]},
        {"input": [{"type": "function_call", "id": "fc_1", "call_id": "c", "name": "a", "arguments": "{}"}]},
        {"input": "file_id", "prompt_cache_key": "container"},
        {"tools": [{"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "4g"}}]},
    ],
)
def test_what_carries_its_content_needs_no_owner(more: dict[str, Any]) -> None:
    assert ask(RESPONSES, with_model(more)).model == "good"
    assert ask(RESPONSES, with_model(more), ONLY).model == "good"


def test_ids_of_a_realtime_session_are_its_own() -> None:
    reference = {"type": "response.create", "response": {"input": [{"type": "item_reference", "id": "item_1"}]}}
    assert event(reference, ONLY, named="good", realtime=True).creates
    assert not event({"type": "response.cancel", "response_id": "resp_1"}, ONLY, named="good", realtime=True).creates
    with pytest.raises(RefusedError):
        event(reference, ONLY, named="good")
    with pytest.raises(RefusedError) as caught:
        event({"type": "session.update", "session": {"prompt": {"id": "pmpt_1"}}}, caller(), named="a", realtime=True)
    assert caught.value.refusal.status == 404


def test_all_ids_that_nobody_here_has_seen_are_asked_for_at_once() -> None:
    from meshproxy_cli.proxy.request.authorization import Authorizer  # noqa: PLC0415
    from proxy.authorize_helpers import head, route  # noqa: PLC0415

    here = Authorizer(lambda *_: False, 2**20, lambda _: False)
    body = json.dumps(
        with_model({"input": [{"type": "item_reference", "id": f"rs_{number}"} for number in range(300)]})
    )
    with pytest.raises(UnknownIdError) as caught:
        here.authorize(caller(), route(RESPONSES), None, head(RESPONSES), body.encode())
    assert caught.value.idents == tuple(f"rs_{number}" for number in range(100))


# Bounds


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"good","tools":' + b"[" * 100 + b"]" * 100 + b"}",
        b'{"model":"good","tools":' + b'{"tools":[' * 70 + b"]}" * 70 + b"}",
        b'{"model":"good","input":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"model":"good","input":[' + b"{}," * 50_000 + b"{}]}",
        b'{"model":"good","input":[' + b'"",' * 400_000 + b'""]}',
        b'{"model":"good","input":[' + b"1," * 400_000 + b"1]}",
        b'{"model":"good","input":[' + b"[]," * 300_000 + b"[]]}",
        b'{"model":"good","input":[{' + b",".join(b'"k%d\\\\":"x"' % n for n in range(300_000)) + b"}]}",
        b'{"model":"good","input":[{' + b",".join(b'"k%d":"x"' % n for n in range(2000)) + b"}]}",
        b'{"model":"good","input":[' + b'{"type":"item_reference","id":"x"},' * 3000 + b"{}]}",
        b'{"model":"good","tools":[{"type":"image_generation","model":' + b"[" * 100 + b"]" * 100 + b"}]}",
    ],
)
def test_a_body_beyond_the_budget_is_refused(body: bytes) -> None:
    with pytest.raises(DocumentError):
        survey_body(body, responses=True)
    assert refused(RESPONSES, body, ONLY).status == 400


def test_a_long_text_is_within_the_budget() -> None:
    text = "def f(a, b): return {a: [b, {}], c: {}}\n" * 200_000
    body = {"model": "good", "input": [{"role": "user", "content": [{"type": "input_text", "text": text}]}]}
    assert ask(RESPONSES, body).model == "good"
    assert ask(RESPONSES, body, ONLY).model == "good"


def test_a_batch_may_have_many_requests() -> None:
    entry = {"custom_id": "1", "params": {"model": "good", "max_tokens": 9, "messages": [{"role": "user"}]}}
    assert ask(BATCHES, {"requests": [entry] * 30_000}).model == "good"
    assert ask(BATCHES, {"requests": [entry] * 30_000}, ONLY).model == "good"


def test_embeddings_of_many_tokens_pass() -> None:
    tokens = ",".join(["1234"] * 300_000)
    assert ask("/openai/v1/embeddings", b'{"model":"good","input":[%b]}' % tokens.encode(), ONLY).model == "good"
