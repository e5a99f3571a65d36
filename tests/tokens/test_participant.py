"""Participant tokens: MeshAgent's payload to the letter, what PyJWT makes of them, and every forgery refused."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from meshproxy_cli.tokens import jws
from meshproxy_cli.tokens.apikey import ApiKey
from meshproxy_cli.tokens.participant import ParticipantToken, TokenError, TokenProblem, decode_unverified, mint, verify
from meshproxy_cli.tokens.spec import TokenSpec, parse_spec

DATA = Path(__file__).parents[1] / "data"
VECTORS = json.loads(DATA.joinpath("meshagent-vectors.json").read_text("utf-8"))
SCOPES = json.loads(DATA.joinpath("meshagent-scopes.json").read_text("utf-8"))
NOW = 1_795_000_000


@dataclass(frozen=True)
class Known:
    """An API key as a server holds it."""

    id: str
    project_id: str
    secret: str
    revoked: bool = False


KEY = ApiKey.parse(VECTORS["api_key"]["encoded"])
KNOWN = Known(KEY.id, KEY.project_id, KEY.secret)
OTHER = Known("6513270e-269e-0d37-f2a7-4de452e6b438", KEY.project_id, "another-secret-0123456789abcdefghij")
SPEC = TokenSpec("ana", "my-room", "agent", {"llm": {}})


def find(*keys: Known) -> Callable[[str], Known | None]:
    known = {key.id: key for key in keys or (KNOWN, OTHER)}
    return known.get


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def payload_of(token: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def craft(payload: Any, *, header: Any = None, secret: str | bytes = KEY.secret, digest: str = "sha256") -> str:
    """Make a token by hand; `payload` and `header` may be bytes to be taken as they are."""
    header = {"alg": "HS256", "typ": "JWT"} if header is None else header
    parts = [b64(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in (header, payload)]
    key = secret.encode() if isinstance(secret, str) else secret
    return ".".join([*parts, b64(hmac.new(key, ".".join(parts).encode(), digest).digest())])


VALID = payload_of(mint(SPEC, KEY, now=NOW, expires_in=3600))


def reason(token: str, *keys: Known, now: int = NOW) -> TokenProblem:
    with pytest.raises(TokenError) as caught:
        verify(token, find(*keys), now=now)
    assert token not in str(caught.value) or not token
    assert KEY.secret not in f"{caught.value} {caught.value.hint}"
    return caught.value.reason


@pytest.mark.parametrize("vector", VECTORS["tokens"], ids=lambda vector: vector["name"])
def test_vectors_are_signed_to_the_letter(vector: dict[str, Any]) -> None:
    token = mint(parse_spec(vector["spec_yaml"]), KEY, now=NOW)
    # PyJWT wrote the vectors: compact JSON, names in this order.
    expected = [json.dumps(vector[part], separators=(",", ":")) for part in ("header", "payload")]
    assert [base64.urlsafe_b64decode(part + "==").decode() for part in token.split(".")[:2]] == expected
    assert token == jwt.encode(vector["payload"], KEY.secret, algorithm="HS256")


@pytest.mark.parametrize("vector", SCOPES["tokens"])
def test_every_section_is_signed_to_the_letter(vector: dict[str, Any]) -> None:
    token = mint(parse_spec(json.dumps(vector["spec"], ensure_ascii=False)), KEY, now=NOW)
    assert token == jwt.encode(vector["payload"], KEY.secret, algorithm="HS256")


def test_pyjwt_accepts_what_is_minted() -> None:
    now = int(time.time())
    token = mint(SPEC, KEY, now=now, expires_in=60, not_before=now - 5)
    decoded = jwt.decode(token, KEY.secret, algorithms=["HS256"], options={"require": ["exp", "nbf"]})
    assert decoded["exp"] == now + 60
    assert list(decoded) == ["exp", "nbf", "name", "grants", "sub", "version", "kid"]


@pytest.mark.parametrize("vector", VECTORS["tokens"], ids=lambda vector: vector["name"])
def test_tokens_of_meshagents_library_verify(vector: dict[str, Any]) -> None:
    token = verify(jwt.encode(vector["payload"], KEY.secret, algorithm="HS256"), find(), now=NOW)
    assert token.identity == vector["payload"]["name"]
    assert token.key_id == KEY.id
    assert token.llm


def test_other_key_orders_and_white_space_verify() -> None:
    payload = json.dumps(dict(reversed(VALID.items())), indent=3, ensure_ascii=False).encode()
    header = b'{ "typ" : "jwt",\n "alg":"HS256" }'
    assert verify(craft(payload, header=header), find(), now=NOW) == verify(craft(VALID), find(), now=NOW)


def test_what_a_token_says() -> None:
    spec = TokenSpec("ana", "r", None, {"llm": {"models": ["openai/*"]}, "queues": {}})
    assert verify(mint(spec, KEY, now=NOW, expires_in=9, not_before=NOW - 1, session="ci"), find(), now=NOW) == (
        ParticipantToken(
            identity="ana",
            room="r",
            role="user",
            key_id=KEY.id,
            project_id=KEY.project_id,
            llm=True,
            models=("openai/*",),
            expires_at=NOW + 9,
            not_before=NOW - 1,
            version="0.55.1",
            scope={"llm": {"models": ["openai/*"]}, "queues": {}},
            session="ci",
        )
    )


def test_without_llm_and_room() -> None:
    token = verify(mint(TokenSpec("ana", api={"queues": {}}), KEY, now=NOW), find(), now=NOW)
    assert (token.llm, token.models, token.room, token.expires_at) == (False, None, None, None)


def rsa_pem() -> bytes:
    public = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def unsigned(header: Any, body: str) -> str:
    return f"{b64(json.dumps(header).encode())}.{body}."


def _forgeries() -> dict[str, tuple[str, TokenProblem]]:
    token = mint(SPEC, KEY, now=NOW, expires_in=3600)
    head, body, signature = token.split(".")
    flipped = ("B" if signature[0] == "A" else "A") + signature[1:]
    promoted = b64(json.dumps({**VALID, "name": "root"}).encode())
    p = TokenProblem
    return {
        "nothing": ("", p.MALFORMED),
        "a word": ("xyzzy", p.MALFORMED),
        "an API key": (KEY.encode(), p.MALFORMED),
        "signature changed": (f"{head}.{body}.{flipped}", p.BAD_SIGNATURE),
        "signature removed": (f"{head}.{body}.", p.BAD_SIGNATURE),
        "signature left out": (f"{head}.{body}", p.MALFORMED),
        "signature shortened": (f"{head}.{body}.{signature[:-3]}", p.BAD_SIGNATURE),
        "signature not canonical": (f"{head}.{body}.{signature[:-1]}{_next(signature[-1])}", p.MALFORMED),
        "signature padded": (f"{token}=", p.MALFORMED),
        "cut in the payload": (token[: len(head) + 20], p.MALFORMED),
        "payload of another token": (f"{head}.{promoted}.{signature}", p.BAD_SIGNATURE),
        "a fourth part": (f"{token}.{signature}", p.MALFORMED),
        "a line break": (f"{head}.{body}.{signature[:9]}\n{signature[9:]}", p.MALFORMED),
        "letters beyond ASCII": (f"{head}.{body}.é{signature}", p.MALFORMED),
        "re-signed with another secret": (craft(VALID, secret="x" * 32), p.BAD_SIGNATURE),
        "re-signed with an empty secret": (craft(VALID, secret=""), p.BAD_SIGNATURE),
        "kid of another key": (craft({**VALID, "kid": OTHER.id}), p.BAD_SIGNATURE),
        "kid of no key": (craft({**VALID, "kid": "00000000-0000-4000-8000-000000000000"}), p.UNKNOWN_KEY),
        "two kids": (craft(VALID, header={"alg": "HS256", "kid": OTHER.id}), p.MALFORMED),
        "alg none": (unsigned({"alg": "none", "typ": "JWT"}, body), p.ALGORITHM),
        "alg None": (unsigned({"alg": "None"}, body) + signature, p.ALGORITHM),
        "alg hs256": (craft(VALID, header={"alg": "hs256"}), p.ALGORITHM),
        "alg missing": (craft(VALID, header={"typ": "JWT"}), p.ALGORITHM),
        "alg a list": (craft(VALID, header={"alg": ["HS256"]}), p.ALGORITHM),
        "HS512": (jwt.encode(VALID, KEY.secret * 2, algorithm="HS512"), p.ALGORITHM),
        "HS512 named HS256": (craft(VALID, digest="sha512"), p.BAD_SIGNATURE),
        "HS384": (craft(VALID, header={"alg": "HS384"}, digest="sha384"), p.ALGORITHM),
        "RS256": (_rs256(), p.ALGORITHM),
        "public RSA key as the secret": (craft(VALID, secret=rsa_pem()), p.BAD_SIGNATURE),
        "the secret's hash as the secret": (
            craft(VALID, secret=hashlib.sha256(KEY.secret.encode()).digest()),
            p.BAD_SIGNATURE,
        ),
        "crit": (craft(VALID, header={"alg": "HS256", "crit": ["exp"]}), p.MALFORMED),
        "unencoded payload": (craft(VALID, header={"alg": "HS256", "b64": False}), p.MALFORMED),
        "another typ": (craft(VALID, header={"alg": "HS256", "typ": "JWE"}), p.MALFORMED),
        "far too long": (craft({**VALID, "x": "y" * 40_000}), p.MALFORMED),
    }


def _next(letter: str) -> str:
    """Return the letter whose last bits, which a 32-byte signature does not use, differ."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return alphabet[alphabet.index(letter) ^ 1]


def _rs256() -> str:
    return jwt.encode(VALID, rsa.generate_private_key(public_exponent=65537, key_size=2048), algorithm="RS256")


FORGERIES = _forgeries()


@pytest.mark.parametrize("name", FORGERIES)
def test_forgeries_are_refused(name: str) -> None:
    token, expected = FORGERIES[name]
    assert reason(token) is expected


def _claims() -> dict[str, Any]:
    def without(name: str) -> dict[str, Any]:
        return {key: value for key, value in VALID.items() if key != name}

    def grants(*added: Any) -> dict[str, Any]:
        return {**VALID, "grants": [*VALID["grants"], *added]}

    def api(scope: Any) -> dict[str, Any]:
        return {**VALID, "grants": [{"name": "api", "scope": scope}]}

    return {
        "no object": [],
        "no JSON": b"{",
        "not UTF-8": b'{"name": "\xff"}',
        "a name twice": json.dumps(VALID).encode().replace(b'"name": "ana"', b'"name": "ana", "name": "root"'),
        "a grant's name twice": json.dumps(VALID)
        .encode()
        .replace(b'"scope": "my-room"', b'"scope": "a", "scope": "b"'),
        "NaN": json.dumps({**VALID, "exp": float("nan")}).encode(),
        "nested without end": b'{"a":' + b"[" * 12_000,
        "no name": without("name"),
        "name a number": {**VALID, "name": 1},
        "name blank": {**VALID, "name": " "},
        "half a surrogate pair": json.dumps(VALID).encode().replace(b'"ana"', b'"\\ud800"'),
        "no kid": without("kid"),
        "kid no text": {**VALID, "kid": 7},
        "kid no UUID": {**VALID, "kid": "../../etc/passwd"},
        "kid a list": {**VALID, "kid": [KEY.id]},
        "kid and a line break": {**VALID, "kid": KEY.id + "\n"},
        "no sub": without("sub"),
        "no grants": without("grants"),
        "grants an object": {**VALID, "grants": {"name": "api"}},
        "a grant that is a text": grants("api"),
        "a grant without scope": grants({"name": "x"}),
        "two rooms": grants({"name": "room", "scope": "other"}),
        "two apis": grants({"name": "api", "scope": {}}),
        "room no text": {**VALID, "grants": [{"name": "room", "scope": None}]},
        "role unknown": {**VALID, "grants": [{"name": "role", "scope": "admin"}]},
        "api no object": api("llm"),
        "llm true": api({"llm": True}),
        "llm a list": api({"llm": []}),
        "models a text": api({"llm": {"models": "openai/*"}}),
        "models of numbers": api({"llm": {"models": [1]}}),
        "exp a text": {**VALID, "exp": "never"},
        "exp null": {**VALID, "exp": None},
        "exp true": {**VALID, "exp": True},
        "exp endless": json.dumps(VALID).encode().replace(str(VALID["exp"]).encode(), b"1e999"),
        "nbf a text": {**VALID, "nbf": "0"},
        "for somebody else": {**VALID, "aud": "https://example.com"},
        "version a number": {**VALID, "version": 1},
    }


@pytest.mark.parametrize(("name", "payload"), _claims().items(), ids=_claims().keys())
def test_claims_of_another_shape_are_refused_though_signed(name: str, payload: Any) -> None:
    assert reason(craft(payload)) is TokenProblem.MALFORMED


def test_the_hand_made_token_is_valid_but_for_what_is_changed() -> None:
    assert verify(craft(VALID), find(), now=NOW).identity == "ana"


def test_revoked_key() -> None:
    token = mint(SPEC, KEY, now=NOW)
    assert reason(token, replace(KNOWN, revoked=True)) is TokenProblem.REVOKED_KEY


def test_a_forger_does_not_learn_that_a_key_was_revoked() -> None:
    assert reason(craft(VALID, secret="x" * 32), replace(KNOWN, revoked=True)) is TokenProblem.BAD_SIGNATURE


def test_wrong_project() -> None:
    assert reason(craft({**VALID, "sub": OTHER.id})) is TokenProblem.WRONG_PROJECT


@pytest.mark.parametrize("secret", ["", "short", "x" * 15])
def test_a_weak_secret_neither_verifies_nor_signs(secret: str) -> None:
    assert reason(craft(VALID, secret=secret), replace(KNOWN, secret=secret)) is TokenProblem.UNKNOWN_KEY
    with pytest.raises(TokenError):
        mint(SPEC, ApiKey(KEY.id, KEY.project_id, secret), now=NOW)


def test_times() -> None:
    token = mint(SPEC, KEY, now=NOW, expires_in=10, not_before=NOW + 2)
    assert reason(token, now=NOW + 1) is TokenProblem.NOT_YET_VALID
    assert verify(token, find(), now=NOW + 2).identity == "ana"
    assert verify(token, find(), now=NOW + 9).identity == "ana"
    assert reason(token, now=NOW + 10) is TokenProblem.EXPIRED


def test_a_fraction_of_a_second_does_not_lengthen_a_token() -> None:
    token = craft({**VALID, "exp": NOW + 0.9})
    assert reason(token) is TokenProblem.EXPIRED


def test_signatures_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    right = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return right(one, other)

    monkeypatch.setattr(jws.hmac, "compare_digest", compare)
    assert reason(craft(VALID, secret="x" * 32)) is TokenProblem.BAD_SIGNATURE
    assert [(len(one), len(other)) for one, other in compared] == [(32, 32)]


def test_reading_without_verifying_is_as_strict() -> None:
    assert decode_unverified(craft(VALID, secret="x" * 32)).identity == "ana"
    with pytest.raises(TokenError):
        decode_unverified(craft({**VALID, "kid": "x"}))


def test_a_token_that_fits_in_no_header_is_not_signed() -> None:
    spec = TokenSpec("ana", api={"llm": {"models": [f"openai/{'x' * 1000}{at}" for at in range(40)]}})
    with pytest.raises(TokenError, match="fits in no header"):
        mint(spec, KEY, now=NOW)
