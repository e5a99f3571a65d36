"""Who is calling: every part of it, or a refusal."""

import pytest

from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.core.directory import Directory
from meshproxy_cli.proxy.core.errors import ProxyError, RefusedError
from meshproxy_cli.proxy.core.routes import ProviderRoute, match
from meshproxy_cli.proxy.http1.head import RequestHead, read_request_head
from meshproxy_cli.proxy.request.authentication import Authenticator, agent_name, credentials
from meshproxy_cli.store.records import SigningKey
from meshproxy_cli.tokens.apikey import ApiKey
from meshproxy_cli.tokens.jws import Json
from meshproxy_cli.tokens.participant import decode_unverified, mint
from meshproxy_cli.tokens.reading import refusals
from meshproxy_cli.tokens.spec import TokenSpec

PROJECT = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
KEY = ApiKey.generate(PROJECT)
OTHER = ApiKey.generate(PROJECT)
NOW = 1_800_000_000


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


def signing(key: ApiKey, *, revoked: bool = False) -> SigningKey:
    return SigningKey(id=key.id, project_id=key.project_id, secret=key.secret, revoked=revoked)


def directory(*keys: SigningKey) -> Directory:
    return Directory(keys={key.id: key for key in keys or (signing(KEY),)})


def token(room: str = "r", *, key: ApiKey = KEY, expires_in: int | None = 600, identity: str = "ana") -> str:
    return mint(TokenSpec.for_room(identity, room), key, now=NOW, expires_in=expires_in)


def head(*fields: str, session: str | None = "s") -> RequestHead:
    lines = ["POST / HTTP/1.1", "Host: h", *fields, *([] if session is None else [f"Meshagent-Session: {session}"])]
    return read_request_head(("\r\n".join(lines) + "\r\n\r\n").encode())


def bearer(text: str, *fields: str, session: str | None = "s") -> RequestHead:
    return head(f"Authorization: Bearer {text}", *fields, session=session)


def route(room: str | None = "r") -> ProviderRoute:
    found = match(b"POST", (f"/rooms/{room}" if room else "").encode() + b"/openai/v1/responses")
    assert isinstance(found, ProviderRoute)
    return found


def refused(known: Authenticator, request: RequestHead, where: ProviderRoute | None = None) -> ProxyError:
    with pytest.raises(RefusedError) as caught:
        known.caller(request, where or route())
    return caught.value.refusal


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def known(clock: Clock) -> Authenticator:
    return Authenticator(directory(), clock)


def test_a_caller_is_what_the_token_the_url_and_the_headers_say(known: Authenticator) -> None:
    request = bearer(token(), "User-Agent: codex_exec/0.145.0 (Linux)", session="laptop")
    expected = Caller(PROJECT, "r", "laptop", "ana", KEY.id, "codex_exec", None)
    assert known.caller(request, route()) == expected
    assert known.caller(request, route()) == expected  # from memory


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
def test_the_scheme_is_written_in_any_way(known: Authenticator, scheme: str) -> None:
    assert known.caller(head(f"Authorization: {scheme} {token()}"), route()).room == "r"


@pytest.mark.parametrize("name", ["x-api-key", "X-Api-Key", "api-key"])
def test_a_token_may_come_as_a_key(known: Authenticator, name: str) -> None:
    assert known.caller(head(f"{name}: {token()}"), route()).participant == "ana"


@pytest.mark.parametrize("prefix", ["openai-insecure-api-key.", "bearer.", "meshagent-token."])
def test_a_token_may_come_as_a_subprotocol(known: Authenticator, prefix: str) -> None:
    assert known.caller(head(f"Sec-WebSocket-Protocol: realtime, {prefix}{token()}"), route()).participant == "ana"


def test_of_two_credentials_the_good_one_counts(known: Authenticator) -> None:
    assert known.caller(bearer("sk-ant-something", f"x-api-key: {token()}"), route()).participant == "ana"
    assert known.caller(bearer(token(), "x-api-key: something"), route()).participant == "ana"
    assert refused(known, bearer("nothing", "x-api-key: nothing")).status == 401


@pytest.mark.parametrize(
    "fields",
    [(), ("Authorization: Basic YTpi",), ("Authorization: Bearer",), ("Authorization: Bearer \t",), ("x-api-key:",)],
)
def test_without_a_credential(known: Authenticator, fields: tuple[str, ...]) -> None:
    refusal = refused(known, head(*fields))
    assert (refusal.status, refusal.code) == (401, "token_missing")
    assert not credentials(head(*fields))


@pytest.mark.parametrize("text", ["x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "ä", "x" * 17_000])
def test_what_is_no_token(known: Authenticator, text: str) -> None:
    refusal = refused(known, bearer(text))
    assert refusal.status == 401
    assert text not in refusal.message or len(text) == 1


def test_a_token_whose_beginning_is_known_is_still_verified(known: Authenticator) -> None:
    good = token()
    known.caller(bearer(good), route())
    assert refused(known, bearer(good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"))).code == "token_bad_signature"


def test_expiry_is_looked_at_every_time(known: Authenticator, clock: Clock) -> None:
    text = token(expires_in=60)
    assert known.caller(bearer(text), route())
    clock.now += 59.9
    assert known.caller(bearer(text), route())
    clock.now += 0.1
    refusal = refused(known, bearer(text))
    assert (refusal.status, refusal.code, refusal.new_token) == (401, "token_expired", True)


def test_an_expired_token_is_final_the_second_time(known: Authenticator, clock: Clock) -> None:
    text = token(expires_in=60)
    clock.now += 100
    assert refused(known, bearer(text)).new_token
    assert refused(known, bearer(text)).new_token  # sent side by side
    clock.now += 10
    assert not refused(known, bearer(text)).new_token


def test_a_list_of_models_does_not_use_up_the_chance(known: Authenticator, clock: Clock) -> None:
    text = token(expires_in=60)
    clock.now += 100
    listing = match(b"GET", b"/rooms/r/openai/v1/models")
    assert isinstance(listing, ProviderRoute)
    asked = read_request_head(f"GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {text}\r\n\r\n".encode())
    for _ in range(3):
        with pytest.raises(RefusedError) as caught:
            known.caller(asked, listing)
        assert caught.value.refusal.new_token
        clock.now += 10
    assert refused(known, bearer(text)).new_token
    clock.now += 10
    assert not refused(known, bearer(text)).new_token


def test_a_token_without_an_end_is_good_for_ever(known: Authenticator, clock: Clock) -> None:
    text = token(expires_in=None)
    assert known.caller(bearer(text), route())
    clock.now += 10**9
    assert known.caller(bearer(text), route())


def test_a_revoked_key_stops_working_with_the_next_directory(known: Authenticator) -> None:
    text = token()
    assert known.caller(bearer(text), route())
    known.use(directory(signing(KEY, revoked=True)))
    assert refused(known, bearer(text)).code == "token_revoked_key"
    known.use(Directory())
    assert refused(known, bearer(text)).code == "token_unknown_key"
    assert not known.knows_key(bearer(text))


def test_a_revoked_key_may_have_been_replaced_meanwhile(known: Authenticator, clock: Clock) -> None:
    known.use(directory(signing(KEY, revoked=True)))
    clock.now = 60.0 * 10**6
    assert refused(known, bearer(token(expires_in=600))).new_token
    clock.now += 5
    newer = bearer(token(expires_in=900))
    assert not refused(known, newer).new_token, "the same key signs a new token at every call of the helper"
    clock.now += 60
    assert refused(known, newer).new_token


def test_a_key_of_another_project_signs_nothing_here(known: Authenticator) -> None:
    moved = SigningKey(id=KEY.id, project_id="0c9e6679-7425-40de-944b-e07fc1f90ae7", secret=KEY.secret)
    known.use(directory(moved))
    assert refused(known, bearer(token())).status == 401


def test_a_key_that_is_named_but_did_not_sign(known: Authenticator) -> None:
    forged = ApiKey(id=KEY.id, project_id=PROJECT, secret=OTHER.secret)
    assert refused(known, bearer(token(key=forged))).code == "token_bad_signature"
    assert known.knows_key(bearer("nothing"))


def test_a_token_is_for_its_room_only(known: Authenticator) -> None:
    text = token("r")
    assert known.caller(bearer(text), route("r"))
    refusal = refused(known, bearer(text), route("a%20b"))
    assert (refusal.status, refusal.code) == (403, "wrong_room")
    assert "meshproxy token get --room 'a b'" in refusal.message
    for other in ("R", "r2", "r%20", "%72%72"):
        assert refused(known, bearer(text), route(other)).code == "wrong_room"


def test_the_name_of_a_room_may_be_encoded(known: Authenticator) -> None:
    assert known.caller(bearer(token("team/room 1")), route("team%2Froom%201")).room == "team/room 1"
    assert known.caller(bearer(token("r")), route("%72")).room == "r"


def test_on_project_wide_paths_the_token_names_the_room(known: Authenticator) -> None:
    assert known.caller(bearer(token("mine")), route(None)).room == "mine"


def test_callers_in_memory_are_told_apart(known: Authenticator) -> None:
    ana, ben = token(identity="ana"), token(identity="ben")
    assert known.caller(bearer(ana), route()).participant == "ana"
    assert known.caller(bearer(ben), route()).participant == "ben"
    assert known.caller(bearer(ana, session="other"), route()).session == "other"
    assert known.caller(bearer(ana, "User-Agent: claude-cli/2.1"), route()).agent == "claude-cli"
    assert refused(known, bearer(ana), route("other")).code == "wrong_room"


@pytest.mark.parametrize(
    ("session", "status"), [(None, 400), ("", 400), ("a\tb", 400), ("s" * 201, 400), ("ä 1", 200), ("s" * 200, 200)]
)
def test_a_session_is_required(known: Authenticator, session: str | None, status: int) -> None:
    request = bearer(token(), session=session)
    if status == 200:
        assert known.caller(request, route()).session == session
    else:
        assert refused(known, request).status == status


def test_a_strict_server_knows_its_rooms(known: Authenticator) -> None:
    known.strict_rooms = True
    assert refused(known, bearer(token())).code == "unknown_room"


def test_a_token_without_model_access(known: Authenticator) -> None:
    spec = TokenSpec(identity="ana", room="r", api={"messaging": {}})
    assert refused(known, bearer(mint(spec, KEY, now=NOW))).code == "llm_not_granted"


def test_the_memory_is_bounded(known: Authenticator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known._tokens, "_max_bytes", 1_000_000)
    monkeypatch.setattr(known._callers, "_max_bytes", 1_000_000)
    for number in range(200):
        known.caller(bearer(token(identity=f"p{number}"), f"User-Agent: {number:04}{'x' * 5000}"), route())
    assert 0 < len(known._tokens) < 200
    assert 0 < len(known._callers) < 200


def test_a_huge_user_agent_is_not_kept(known: Authenticator) -> None:
    text = token()
    for number in range(100):
        known.caller(bearer(text, f"User-Agent: {number}{'x' * 60_000}"), route())
    assert known._callers.bytes <= 32 * 2**20
    for number in range(1000):
        known._callers.put((b"", None, b"", b"%d" % number), None, 61_000)  # type: ignore[arg-type]
    assert known._callers.bytes <= 32 * 2**20


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (b"codex_exec/0.145.0 (Debian; x86_64)", "codex_exec"),
        (b"claude-cli/2.1.272 (external, cli)", "claude-cli"),
        (b"OpenAI/Python 1.100", "OpenAI"),
        (b"curl", "curl"),
        (b"", ""),
        (b"  ", ""),
    ],
)
def test_agents_have_names(header: bytes, name: str) -> None:
    assert agent_name(header) == name


@pytest.mark.parametrize("llm", [{"Models": ["openai/a"]}, {"models": ["openai/a"], "model": "b"}, {"MODELS": []}])
def test_an_unknown_member_of_llm_is_no_grant(known: Authenticator, llm: dict[str, Json]) -> None:
    text = mint(TokenSpec("ana", room="r", api={"llm": llm}), KEY, now=NOW)
    assert (refused(known, bearer(text)).status, refused(known, bearer(text)).code) == (403, "llm_member_unknown")
    assert any("not known" in reason for reason in refusals(decode_unverified(text), room="r"))
