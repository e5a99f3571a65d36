"""Which headers pass between client and provider: one table for each direction, with the reason for each row.

What no row names is passed on as it came. A row's pattern is a whole name, or the beginning of one if it ends with
`*`. Names are compared in lower case and with `-` for every other sign, because many servers and gateways read
`openai_organization` and `openai.organization` as `OpenAI-Organization`. The same tables apply to trailers, to
websocket handshakes, and (requests) to the subprotocols that a browser offers in the place of headers.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """Headers that are not passed on, and why. `fixed`: `forward_headers` in `server.toml` can't change that."""

    patterns: tuple[str, ...]
    why: str
    fixed: bool = False


_CONNECTION = "belongs to one connection"
HOP_BY_HOP = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te",
    b"transfer-encoding", b"upgrade", b"http2-settings",
})  # fmt: skip
_HOP_BY_HOP = tuple(sorted(name.decode() for name in HOP_BY_HOP))

#: Headers of a request that stay with the proxy.
REQUEST_ROWS = (
    Row((*_HOP_BY_HOP, "proxy-*", "expect", "content-length"), _CONNECTION, fixed=True),
    Row(("host",), "names the provider, so the proxy sets it", fixed=True),
    Row(("sec-websocket-protocol", "sec-websocket-extensions"), "the proxy negotiates websockets", fixed=True),
    Row(("authorization", "x-api-key", "api-key"), "carries the participant token", fixed=True),
    Row(("meshagent-*", "meshproxy-*", "x-meshagent-*", "x-meshproxy-*"), "is between client and proxy", fixed=True),
    Row(("cookie*", "set-cookie*"), "is a login of the client at the proxy's host", fixed=True),
    Row(("forwarded*", "x-forwarded*", "via", "x-real-ip", "x-client-ip", "client-ip", "true-client-ip",
         "x-cluster-client-ip", "x-originating-ip", "x-remote-*", "remote-*", "x-host", "x-envoy-*", "x-akamai-*",
         "akamai-*", "fastly-*", "x-fastly-*", "cloudfront-*", "x-arr-*", "x-appengine-*"),
        "says where a request came from or who sent it, which gateways trust"),
    Row(("x-original-*", "x-rewrite-*", "x-accel-*", "x-sendfile*", "x-http-method*", "x-http-path*", "x-http-url*"),
        "makes a server read another method or path than the one that was checked"),
    Row(("x-goog-*", "goog-*", "x-vertex-*", "google-*"), "chooses a Google project, route or quota"),
    Row(("x-amz*", "amz-*", "aws-*", "x-aws-*"), "chooses an AWS account, guardrail or signature"),
    Row(("x-ms-*", "ms-*", "ocp-apim-*", "apim-*", "x-apim-*", "azureml-*", "x-azure-*", "azure-*", "x-functions-*"),
        "chooses an Azure subscription, identity or deployment"),
    Row(("cf-*", "x-cf-*"), "authenticates at, or steers, Cloudflare and its AI Gateway"),
    Row(("litellm-*", "x-litellm-*"), "steers LiteLLM"),
    Row(("portkey-*", "x-portkey-*"), "steers Portkey"),
    Row(("helicone-*", "x-helicone-*"), "steers Helicone"),
    Row(("bf-*", "x-bf-*", "bifrost-*", "x-bifrost-*"), "steers Bifrost"),
    Row(("kong-*", "x-kong-*", "x-consumer-*", "x-anonymous-consumer", "tyk-*", "x-tyk-*", "apigee-*", "x-apigee-*",
         "x-ai-eg-*", "x-gloo-*", "x-higress-*", "x-mse-*", "x-apisix-*", "x-traefik-*", "x-pomerium-*", "x-gravitee-*",
         "x-3scale-*", "x-mashape-*", "x-rapidapi-*", "x-istio-*", "x-linkerd-*", "l5d-*"),
        "steers an API gateway or names its consumer"),
    Row(("ai-gateway-*", "x-ai-gateway-*", "x-vercel-*", "vercel-*", "x-gateway-*", "gateway-*", "x-aigw-*", "x-bt-*",
         "braintrust-*", "x-braintrust-*", "langfuse-*", "x-langfuse-*", "langsmith-*", "x-langsmith-*", "langchain-*",
         "traceloop-*", "x-traceloop-*", "tensorzero-*", "x-tensorzero-*", "x-tfy-*", "tfy-*", "x-truefoundry-*",
         "x-requesty-*", "x-martian-*", "x-unify-*", "x-keywordsai-*", "keywordsai-*", "x-respan-*", "x-lunary-*",
         "x-databricks-*", "databricks-*", "x-watson*", "x-ibm-*", "x-snowflake-*", "x-opencode-*", "x-openrouter-*",
         "x-mlflow-*", "mlflow-*", "x-router-*", "x-airia-*", "x-arize-*", "x-promptlayer-*", "x-llm-*", "x-orq-*"),
        "steers another gateway"),
)  # fmt: skip

_CREDENTIAL = "its name is that of a credential"
_ACCOUNT = "chooses who pays"
_ROUTE = "chooses where a request goes, or which model answers"
#: Words of a name, whatever stands around them, that say what a header is for.
REQUEST_WORDS = {
    **dict.fromkeys(
        ("authn", "authz", "cert", "certificate", "creds", "otp", "pass", "pat", "pwd", "saml", "sig",
         "signature", "sso", "oidc"),
        _CREDENTIAL,
    ),
    **dict.fromkeys(
        ("account", "accounts", "billing", "customer", "fedramp", "org", "organization", "organization", "payer",
         "project", "projects", "quota", "subscription", "tenant", "tier", "workspace", "workspaces"),
        _ACCOUNT,
    ),
    **dict.fromkeys(
        ("backend", "base", "deployment", "destination", "endpoint", "fallback", "fallbacks", "host", "method",
         "model", "models", "override", "provider", "providers", "reroute", "route", "router", "routing", "target",
         "upstream", "uri", "url"),
        _ROUTE,
    ),
}  # fmt: skip
#: Parts of words that only credentials have in their names; `key` and `auth` count at the end of a word.
_CREDENTIAL_PART = re.compile(
    r"key(?:s|ids?)?(?:-|$)|auth(?:-|$)|token|secret|authori[sz]ation|authenti|passw|passphrase"
    r"|credential|cookie|bearer|jwt|apikey"
)
#: Names that look like one of those above, and are harmless; agents and SDKs send them.
REQUEST_EXCEPTIONS = {
    "idempotency-key": "repeats a request safely",
    "x-idempotency-key": "repeats a request safely",
    "sec-websocket-key": "is part of a websocket's handshake, and no secret",
    "x-stainless-helper-method": "tells which helper of an SDK asks",
}

#: Headers of an answer that stay with the proxy.
ANSWER_ROWS = (
    Row((*_HOP_BY_HOP, "proxy-*", "content-length"), _CONNECTION),
    Row(("meshproxy-*", "meshagent-*"), "is the proxy's own to say"),
    Row(("location", "content-location", "refresh", "uri", "link"),
        "leads clients to another address, to which they would send the participant token"),
    Row(("alt-svc", "alt-used"), "leads clients around the proxy"),
    Row(("www-authenticate", "authentication-*", "optional-www-authenticate"),
        "asks for credentials of the provider, which a client does not have"),
    Row(("set-cookie*", "clear-site-data", "strict-transport-security", "public-key-pins*", "expect-ct", "nel",
         "report-to", "reporting-endpoints", "content-security-policy*", "service-worker-allowed", "sourcemap",
         "x-sourcemap", "speculation-rules", "use-as-dictionary", "accept-ch", "critical-ch", "set-login",
         "attribution-reporting-*", "access-control-*", "origin-agent-cluster", "activate-storage-access"),
        "sets state or a policy of the proxy's host, with which the dashboard shares it"),
    Row(("x-accel-*", "x-sendfile*", "x-lighttpd-*", "x-litespeed-*", "x-reproxy-*", "surrogate-*", "x-envoy-*",
         "x-internal-redirect"),
        "steers the load balancer before the proxy; nginx serves its own files upon X-Accel-Redirect"),
)  # fmt: skip

_FOLD = str.maketrans(dict.fromkeys("_.!#$%&'*+^`|~", "-"))
_LONGEST_REMEMBERED = 64
_MOST_REMEMBERED = 2048


def fold(name: str) -> str:
    """Return a header's name as the tables have it: lower case, with `-` for every other sign."""
    return name.lower().translate(_FOLD)


def _pattern(rows: tuple[Row, ...]) -> re.Pattern[str]:
    patterns = [pattern for row in rows for pattern in row.patterns]
    exact = [re.escape(pattern) for pattern in patterns if not pattern.endswith("*")]
    beginnings = [re.escape(pattern[:-1]) for pattern in patterns if pattern.endswith("*")]
    return re.compile(f"(?:{'|'.join(exact)})$|(?:{'|'.join(beginnings)})")


_REQUEST = _pattern(REQUEST_ROWS)
_REQUEST_FIXED = _pattern(tuple(row for row in REQUEST_ROWS if row.fixed))
_ANSWER = _pattern(ANSWER_ROWS)


def is_kept_from_provider(folded: str) -> bool:
    """Whether a request's header of that folded name stays with the proxy."""
    if _REQUEST.match(folded):
        return True
    if folded in REQUEST_EXCEPTIONS:
        return False
    return bool(_CREDENTIAL_PART.search(folded)) or any(word in REQUEST_WORDS for word in folded.split("-"))


def is_fixed(folded: str) -> bool:
    """Whether no setting can let a request's header of that folded name pass."""
    return bool(_REQUEST_FIXED.match(folded))


def is_kept_from_client(folded: str) -> bool:
    """Whether an answer's header of that folded name stays with the proxy."""
    return bool(_ANSWER.match(folded))


class _Remembered(dict[bytes, tuple[bool, bytes]]):
    """Decisions by raw name in lower case: whether it stays here, and its folded form. Bounded, also in bytes."""

    def __init__(self, *, request: bool) -> None:
        super().__init__()
        self._decide = is_kept_from_provider if request else is_kept_from_client

    def __missing__(self, name: bytes) -> tuple[bool, bytes]:
        folded = fold(name.decode("latin-1"))
        decision = self._decide(folded), folded.encode("latin-1")
        if len(name) <= _LONGEST_REMEMBERED:
            if len(self) >= _MOST_REMEMBERED:  # of names made up by somebody; the usual ones come back at once
                self.clear()
            self[name] = decision
        return decision


#: What becomes of a header, by its lower-case name: whether it stays with the proxy, and its folded form.
request_rule = _Remembered(request=True).__getitem__
answer_rule = _Remembered(request=False).__getitem__
