"""Which request is for whom."""

import pytest

from meshproxy_cli.proxy.core.routes import AppRoute, BadRoute, NoRoute, ProbeRoute, ProviderRoute, Reply, Routes, match


@pytest.mark.parametrize(
    ("method", "path", "protocol", "room", "upstream"),
    [
        ("POST", "/rooms/r/openai/v1/responses", "openai", "r", "/v1/responses"),
        ("POST", "/rooms/r/v1/responses", "openai", "r", "/v1/responses"),
        ("POST", "/openai/v1/chat/completions", "openai", None, "/v1/chat/completions"),
        ("POST", "/anthropic/v1/messages", "anthropic", None, "/v1/messages"),
        ("POST", "/rooms/r/anthropic/v1/messages/count_tokens", "anthropic", "r", "/v1/messages/count_tokens"),
        ("GET", "/rooms/r/openai/v1/models/gpt-5.4", "openai", "r", "/v1/models/gpt-5.4"),
        ("GET", "/rooms/r/openai/v1/models/org/model:free", "openai", "r", "/v1/models/org/model:free"),
        ("GET", "/rooms/r/anthropic/v1/messages/batches/b_1/results", "anthropic", "r",
         "/v1/messages/batches/b_1/results"),
        ("POST", "/rooms/my%20room/openai/v1/responses", "openai", "my room", "/v1/responses"),
        ("POST", "/rooms/team%2Froom%201/openai/v1/responses", "openai", "team/room 1", "/v1/responses"),
        ("POST", "/rooms/team%2froom/anthropic/v1/messages", "anthropic", "team/room", "/v1/messages"),
        ("POST", "/rooms/openai/openai/v1/responses", "openai", "openai", "/v1/responses"),
        ("POST", "/rooms/%C3%A4/v1/responses", "openai", "ä", "/v1/responses"),
    ],
)  # fmt: skip
def test_provider_paths(method: str, path: str, protocol: str, room: str | None, upstream: str) -> None:
    route = match(method.encode(), path.encode())
    assert isinstance(route, ProviderRoute)
    assert (route.protocol, route.room, route.path.decode()) == (protocol, room, upstream)


@pytest.mark.parametrize(
    "path",
    [
        "/rooms/r/openai/v1/../../../admin",
        "/rooms/r/openai/v1/%2e%2e/responses",
        "/rooms/r/openai/v1/.%2e/responses",
        "/rooms/r/openai/v1//responses",
        "/rooms/r/openai/v1%2fresponses",
        "/rooms/r/openai/v1/models/a%2f..%2fb",
        "/rooms/r/openai/v1/models/a%2Fb",
        "/rooms/r/openai/v1/models/a%5cb",
        "/rooms/r/openai/v1/models/a\\b",
        "/rooms/r/openai/v1/models/..",
        "/rooms/../openai/v1/responses",
        "/rooms/%2e%2e/openai/v1/responses",
        "/rooms/%2E/openai/v1/responses",
        "/rooms/a%2f..%2fb/openai/v1/responses",
        "/rooms/a%2f%2e%2e/openai/v1/responses",
        "/rooms/%2f/openai/v1/responses",
        "/rooms/a%2f/openai/v1/responses",
        "/rooms/a%2f%2fb/openai/v1/responses",
        "/rooms/a%5cb/openai/v1/responses",
        "/rooms/a\\b/openai/v1/responses",
        "/rooms/a%00b/openai/v1/responses",
        "/rooms/a%0ab/openai/v1/responses",
        "/rooms/%20/openai/v1/responses",
        "/rooms/%ff/openai/v1/responses",
        "http://elsewhere/rooms/r/openai/v1/responses",
    ],
)
def test_targets_of_two_readings_are_refused(path: str) -> None:
    assert isinstance(match(b"POST", path.encode()), BadRoute)
    assert isinstance(match(b"GET", path.encode()), BadRoute)


@pytest.mark.parametrize(
    "path",
    ["/", "/api/hello", "/rooms/r", "/rooms/r/", "/rooms/r/openai", "/rooms/r/openai/v1", "/rooms/r/openai/v1/",
     "/rooms/r/anthropic", "/rooms/r/anthropic/", "/rooms/r/anthropic/api/hello", "/openai/v1", "/anthropic"],
)  # fmt: skip
def test_base_urls_answer_probes(path: str) -> None:
    assert isinstance(match(b"HEAD", path.encode()), ProbeRoute)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/rooms/r/openai/v1"),
        ("POST", "/rooms/r/openai/v1/files"),
        ("GET", "/rooms/r/openai/v1/responses/resp_1"),
        ("DELETE", "/rooms/r/openai/v1/responses/resp_1"),
        ("DELETE", "/rooms/r/openai/v1/models/gpt-5.4"),
        ("POST", "/rooms/r/openai/v1/messages"),
        ("POST", "/rooms/r/anthropic/v1/responses"),
        ("POST", "/rooms/r/anthropic/v1/messages/batchesXYZ"),
        ("GET", "/rooms/r/openai/v1/models/{id}"),
        ("GET", "/rooms/r/anthropic/v1/messages/batches/{id}/results"),
        ("GET", "/rooms/r/openai/v1/models/a%252e%252e"),
        ("GET", "/rooms/r/openai/v1/models/a%0d%0ab"),
        ("GET", "/rooms/r/openai/v1/models/gpt/results"),
        ("HEAD", "/rooms/r/openai/v1/files/api/hello"),
        ("GET", "/rooms/r/other/v1/responses"),
    ],
)
def test_everything_else_below_a_base_url_is_not_there(method: str, path: str) -> None:
    assert isinstance(match(method.encode(), path.encode()), NoRoute)


@pytest.mark.parametrize("path", ["/healthz", "/api/v1/usage", "/rooms", "/openaiv1", "/anthropics/v1/messages", "/v1"])
def test_the_rest_is_the_web_applications(path: str) -> None:
    assert isinstance(match(b"GET", path.encode()), AppRoute)


def test_an_id_is_compared_decoded_and_sent_as_it_came() -> None:
    route = match(b"GET", b"/anthropic/v1/messages/batches/msgbatch%5F1")
    assert isinstance(route, ProviderRoute)
    assert (route.id, route.path) == ("msgbatch_1", b"/v1/messages/batches/msgbatch%5F1")


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/responses/compact"])
def test_ids_of_responses_are_noted(path: str) -> None:
    route = match(b"POST", b"/rooms/r/openai" + path.encode())
    assert isinstance(route, ProviderRoute)
    assert route.endpoint.reply is Reply.RESPONSE


def test_the_memory_of_routes_is_bounded_and_by_method() -> None:
    routes = Routes()
    for number in range(5000):
        routes.match(b"GET", b"/rooms/r%d/openai/v1/models" % number)
    assert len(routes._cache) <= 2048
    path = b"/rooms/r/openai/v1/embeddings"
    assert isinstance(routes.match(b"POST", path), ProviderRoute)
    assert isinstance(routes.match(b"GET", path), NoRoute)
    assert routes.match(b"POST", path) is routes.match(b"POST", path)


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/rooms/r/openai/responses", True),
        ("/rooms/r/openai/v1/v1/responses", True),
        ("/rooms/r/anthropic/messages", True),
        ("/rooms/r/v2/openai/v1/responses", True),
        ("/openai/responses", True),
        ("/v1/chat/completions", True),
        ("/v1/messages", True),
        ("/rooms/r/openai/v1/files", False),
        ("/rooms/r/anthropic/v1/nothing", False),
    ],
)
def test_whoever_is_astray_reads_what_base_urls_look_like(path: str, hint: bool) -> None:  # noqa: FBT001
    found = match(b"POST", path.encode())
    assert isinstance(found, NoRoute)
    assert "is not offered here" in found.reason
    assert ("base URLs are /rooms/ROOM/openai/v1" in found.reason) is hint


@pytest.mark.parametrize(
    ("path", "protocol"),
    [("/v1/messages", "anthropic"), ("/v1/messages/count_tokens", "anthropic"), ("/v1/responses", "openai")],
)
def test_a_base_url_without_a_room_is_told_in_its_providers_form(path: str, protocol: str) -> None:
    found = match(b"POST", path.encode())
    assert isinstance(found, NoRoute)
    assert found.protocol == protocol
