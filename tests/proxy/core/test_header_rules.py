"""Which headers pass: both tables, the rule for names, and what a host may change."""

from pathlib import Path

import pytest

from meshproxy_cli.errors import MeshproxyError
from meshproxy_cli.proxy.config.server import load_config
from meshproxy_cli.proxy.core.header_rules import (
    ANSWER_ROWS,
    REQUEST_EXCEPTIONS,
    REQUEST_ROWS,
    REQUEST_WORDS,
    fold,
    is_kept_from_provider,
    request_rule,
)
from proxy.gateway_server import Bench, plain, request
from proxy.scripted_exchanges import ANSWER, Answers, chunk, play

HANDSHAKE = ("Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")

# As Codex, Claude Code, Copilot, Qwen Code, opencode and the SDKs send them.
SENT_BY_AGENTS = [
    "accept",
    "accept-encoding",
    "accept-language",
    "anthropic-beta",
    "anthropic-dangerous-direct-browser-access",
    "anthropic-version",
    "conversation_id",
    "copilot-integration-id",
    "content-type",
    "content-encoding",
    "editor-version",
    "idempotency-key",
    "openai-beta",
    "openai-intent",
    "originator",
    "priority",
    "session-id",
    "session_id",
    "thread-id",
    "traceparent",
    "tracestate",
    "user-agent",
    "version",
    "x-app",
    "x-claude-code-session-id",
    "x-client-request-id",
    "x-codex-beta-features",
    "x-codex-installation-id",
    "x-codex-parent-thread-id",
    "x-codex-turn-metadata",
    "x-codex-turn-state",
    "x-codex-window-id",
    "x-initiator",
    "x-interaction-id",
    "x-interaction-type",
    "x-openai-subagent",
    "x-session-affinity",
    "x-stainless-arch",
    "x-stainless-async",
    "x-stainless-helper-method",
    "x-stainless-lang",
    "x-stainless-os",
    "x-stainless-package-version",
    "x-stainless-retry-count",
    "x-stainless-runtime",
    "x-stainless-runtime-version",
    "x-stainless-timeout",
    "sec-websocket-key",
    "sec-websocket-version",
]
STEERING = [
    "OpenAI-Organization",
    "OpenAI-Project",
    "anthropic-workspace-id",
    "anthropic-organization-id",
    "x-goog-user-project",
    "chatgpt-account-id",
    "x-litellm-tags",
    "x-litellm-api-key",
    "x-portkey-config",
    "x-portkey-virtual-key",
    "Helicone-Auth",
    "Helicone-Target-URL",
    "cf-aig-authorization",
    "cf-aig-metadata",
    "cf-access-client-id",
    "x-bf-vk",
    "x-bf-api-key",
    "Ocp-Apim-Subscription-Key",
    "ocp-apim-trace",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "X-HTTP-Method",
    "X-Forwarded-Prefix",
    "Forwarded",
    "Via",
    "X-Original-Host",
    "X-Host",
    "X-Real-IP",
    "True-Client-IP",
    "Cookie",
    "Cookie2",
    "Proxy-Anything",
    "X-Auth-Email",
    "X-Access-Token",
    "Private-Token",
    "X-Vault-Token",
    "X-Client-Secret",
    "X-Password",
    "X-ApiKey",
    "X-Api-Key-Id",
    "x-amz-security-token",
    "x-amzn-bedrock-guardrailidentifier",
    "x-ms-client-principal",
    "azureml-model-deployment",
    "x-vertex-ai-llm-request-type",
    "x-kong-consumer-id",
    "x-bt-org-name",
    "x-tenant-id",
    "x-model",
    "X-Upstream-URL",
    "X-Jwt-Assertion",
    "X-Custom-Credential",
    "api_key",
    "openai_organization",
    "openai.project",
    "X_Forwarded_For",
    "x_api_key",
    "x.rewrite.url",
    "content_length",
    "transfer_encoding",
    "x-proxy-authorization",
    "x-langfuse-secret-key",
]


@pytest.mark.parametrize("name", SENT_BY_AGENTS)
def test_what_agents_send_passes(name: str) -> None:
    assert not is_kept_from_provider(fold(name))


@pytest.mark.parametrize("name", STEERING)
def test_what_chooses_bill_account_or_route_stays_here(name: str) -> None:
    assert is_kept_from_provider(fold(name))


def test_every_row_has_a_reason() -> None:
    assert all(row.why and row.patterns for row in (*REQUEST_ROWS, *ANSWER_ROWS))
    assert all(REQUEST_WORDS.values())
    assert all(REQUEST_EXCEPTIONS.values())


def test_what_is_remembered_is_bounded() -> None:
    remembered: dict[bytes, object] = request_rule.__self__  # type: ignore[attr-defined]  # a bound method
    for number in range(5000):
        request_rule(b"x-%d" % number)
    request_rule(b"x" * 60_000)
    assert len(remembered) <= 2048
    assert sum(map(len, remembered)) < 2048 * 64


@pytest.mark.parametrize("name", ["OpenAI-Project", "x_portkey_config", "X-Original-URL", "X-Customer-Token"])
@pytest.mark.parametrize("websocket", [False, True])
def test_they_stay_here_in_headers_trailers_and_handshakes(tmp_path: Path, name: str, websocket: bool) -> None:  # noqa: FBT001
    served = Answers(plain(ANSWER))
    fields = [f"{name}: theirs", "x-other: kept"]

    async def test(running: Bench) -> None:
        if websocket:
            await running.ask(request(b"", *HANDSHAKE, *fields, method="GET"))
        else:
            body = chunk(b'{"model":"gpt-5.4"}') + b"0\r\n" + f"{name}: theirs\r\nx-sum: 1\r\n\r\n".encode()
            await running.ask(request(body, *fields, framing="Transfer-Encoding: chunked"))

    play(tmp_path, served, test)
    assert served.asked[0].fields(b"x-other") == [b"kept"]
    assert b"theirs" not in served.asked[0].head + served.asked[0].body


def test_a_host_may_have_one_forwarded(tmp_path: Path) -> None:
    served = Answers(plain(ANSWER))

    async def test(running: Bench) -> None:
        await running.ask(request(b'{"model":"gpt-5.4"}', "OpenAI-Project: theirs", "OpenAI-Organization: no"))

    play(tmp_path, served, test, more='forward_headers=["openai-project"]')
    assert served.asked[0].fields(b"openai-project") == [b"theirs"]
    assert served.asked[0].fields(b"openai-organization") == []


@pytest.mark.parametrize("name", ["Authorization", "x_api_key", "Cookie", "Meshagent-Session", "Host", "TE", "a b"])
def test_no_setting_forwards_the_participant_token(name: str) -> None:
    with pytest.raises(MeshproxyError, match="forward_headers"):
        load_config(f'[providers.openai]\nforward_headers=["{name}"]', {}, str)


@pytest.mark.parametrize("url", ["http://10.0.0.1/v1", "http://litellm:4000/v1", "HTTP://models.example/v1"])
def test_plain_http_to_another_machine_has_to_be_allowed(url: str) -> None:
    text = f'[providers.openai]\nbase_url="{url}"\nkeys=["k"]\n'
    with pytest.raises(MeshproxyError, match="allow_http = true"):
        load_config(text, {}, str)
    assert load_config(text + "allow_http = true", {}, str).providers
    environ = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": url}
    with pytest.raises(MeshproxyError, match="MESHPROXY_INSECURE_HTTP=1"):
        load_config("", environ, str)
    assert load_config("", environ | {"MESHPROXY_INSECURE_HTTP": "1"}, str).providers


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:9"])
def test_plain_http_to_this_machine_is_fine(host: str) -> None:
    assert load_config(f'[providers.openai]\nbase_url="http://{host}/v1"\nkeys=["k"]', {}, str).providers
