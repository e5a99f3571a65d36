"""A token that was made for one session is good for that session only."""

import time

import pytest

from meshproxy_cli.proxy.core.directory import Directory
from meshproxy_cli.proxy.core.errors import RefusedError
from meshproxy_cli.proxy.core.routes import ProviderRoute, match
from meshproxy_cli.proxy.http1.head import read_request_head
from meshproxy_cli.proxy.request.authentication import Authenticator
from meshproxy_cli.store.records import SigningKey
from meshproxy_cli.tokens.apikey import ApiKey
from meshproxy_cli.tokens.participant import mint
from meshproxy_cli.tokens.spec import TokenSpec

KEY = ApiKey.generate("7c9e6679-7425-40de-944b-e07fc1f90ae7")
DIRECTORY = Directory(keys={KEY.id: SigningKey(id=KEY.id, project_id=KEY.project_id, secret=KEY.secret)})


def session_of(token: str, header: str) -> str:
    """Return the session that a request with this header is counted under."""
    path = b"/rooms/r/openai/v1/responses"
    fields = f"Host: h\r\nAuthorization: Bearer {token}\r\nMeshagent-Session: {header}\r\n"
    block = f"POST {path.decode()} HTTP/1.1\r\n{fields}\r\n"
    route = match(b"POST", path)
    assert isinstance(route, ProviderRoute)
    return Authenticator(DIRECTORY).caller(read_request_head(block.encode()), route).session


def test_a_bound_token_serves_its_session() -> None:
    token = mint(TokenSpec.for_room("ana", "r"), KEY, now=int(time.time()), session="ci")
    assert session_of(token, "ci") == "ci"


def test_a_bound_token_serves_no_other_session() -> None:
    token = mint(TokenSpec.for_room("ana", "r"), KEY, now=int(time.time()), session="ci")
    with pytest.raises(RefusedError) as refused:
        session_of(token, "laptop")
    assert "for the session 'ci' only" in refused.value.refusal.message


def test_an_unbound_token_serves_any() -> None:
    token = mint(TokenSpec.for_room("ana", "r"), KEY, now=int(time.time()))
    assert session_of(token, "laptop") == "laptop"
